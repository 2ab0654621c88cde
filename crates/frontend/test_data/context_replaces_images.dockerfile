#: files lib
#: image alpine=busybox:1
#: image ghcr.io/a/b:3=c
#: image gone=scratch
FROM alpine AS a
RUN --mount=from=ghcr.io/a/b:3,target=/b true
COPY --from=gone x* /
FROM docker.io/library/alpine:latest AS a2
COPY --from=a / /
FROM alpine:3
COPY --from=a2 / /
COPY --from=lib f /
FROM lib
COPY --from=2 x y
