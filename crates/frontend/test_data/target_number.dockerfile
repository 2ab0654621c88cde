#: target 0
FROM base
RUN x
FROM never
COPY --from=last / /
FROM other AS last
