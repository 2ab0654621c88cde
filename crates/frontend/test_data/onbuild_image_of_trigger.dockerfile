#: of base onbuild COPY --from=other:1 /a /a
FROM base
