#: of base onbuild ARG VERSION=1
#: of base onbuild COPY --from=tools /bin/x $BASE/x-$VERSION
#: of base onbuild RUN --mount=from=tools,target=/t make
#: of base onbuild ENV A=b
FROM scratch AS tools
COPY x /bin/x
FROM base AS middle
RUN own
ONBUILD RUN later
FROM middle
RUN last $A
