ARG SOURCE_DATE_EPOCH=source
FROM scratch AS source
ARG V=1
ADD https://example.com/a-$V.tgz /
FROM base
COPY --from=source / /
