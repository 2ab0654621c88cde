#: platform linux/arm64
FROM --platform=$BUILDPLATFORM golang AS build
ARG TARGETARCH
ARG TARGETVARIANT
RUN GOARCH=$TARGETARCH go build
COPY --from=busybox /a /b
FROM alpine
COPY --from=build /x /x
RUN x
FROM --platform=linux/s390x build
RUN y
