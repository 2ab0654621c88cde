# escape=`
FROM a
RUN dir `
  c:\x `

  # no
  && y
COPY <<EOF /x
line
EOF
WORKDIR c:\app
