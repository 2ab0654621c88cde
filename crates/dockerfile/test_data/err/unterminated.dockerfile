FROM a
ENV A="b c
COPY "a b" c
WORKDIR 'x
RUN <<EOF
echo hello
 EOF
