FROM scratch AS empty
FROM scratch
COPY --from=empty *.txt /
RUN --mount=from=scratch,target=/nothing ls
