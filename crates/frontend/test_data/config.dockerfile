#: of base workdir rel/ative
FROM base
MAINTAINER me <me@example.com>
SHELL ["/bin/bash", "-ec"]
CMD echo "a\n"
ENTRYPOINT run $X
RUN x
HEALTHCHECK --interval=5m --retries=2 CMD curl "x"
HEALTHCHECK CMD ["probe", "x"]
STOPSIGNAL 9
USER $BASE
WORKDIR a
WORKDIR /b
WORKDIR c/../d
WORKDIR /
USER $NOTHING
ONBUILD COPY <<EOF /x
body
EOF
ONBUILD RUN echo   a  b
