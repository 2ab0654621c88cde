#: of only-arm architecture arm64
FROM only-arm
COPY --from=only-arm:latest a /
