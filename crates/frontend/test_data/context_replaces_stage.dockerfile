#: files base
FROM never AS base
ONBUILD RUN not run
RUN not run
FROM base
COPY --from=base a b
COPY --from=0 c d
RUN x
