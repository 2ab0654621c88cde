FROM base AS builder
COPY --from=builder a b
COPY --from=later a b
COPY --from=9 a b
COPY --from=Buildr a b
FROM $EMPTY
FROM base AS later
FROM UPPER/case
FROM scratch
COPY --from=builder a b
COPY --from=later a b
