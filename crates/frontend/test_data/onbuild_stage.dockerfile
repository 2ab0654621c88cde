FROM base AS one
ONBUILD COPY --from=alpine:3 /a $A/
ONBUILD ADD https://example.com/x.txt /
FROM one AS two
FROM two
ENV A=late
