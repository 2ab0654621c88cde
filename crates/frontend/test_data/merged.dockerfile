FROM busybox AS a
RUN make
FROM busybox AS b
RUN make
FROM a
COPY --from=b /x /x
