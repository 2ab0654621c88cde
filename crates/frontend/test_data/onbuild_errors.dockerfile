#: of base onbuild FROM x
#: of base onbuild COPY a
#: of base onbuild COPY --from=last /a /a
#: of other onbuild WORKDIR ${UNSET:?is needed}
FROM base
FROM other
FROM scratch AS last
COPY --from=0 / /
COPY --from=1 / /
