FROM scratch
COPY --link first /
COPY --link --chmod=755 --chown=1:2 a b /dir/
COPY --link --chown=node c /
ADD --link https://example.com/x.tgz /x/
COPY --link <<EOF /f
text
EOF
RUN x
