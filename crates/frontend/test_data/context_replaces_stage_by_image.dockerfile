#: image base=other:2
FROM never AS base
RUN not run
FROM base
RUN x
