FROM busybox
COPY a b c
ADD https://example.com/x /x
EXPOSE 99999
STOPSIGNAL NOPE
WORKDIR $NOPE
RUN --mount=type=secret,id=x true
