FROM a AS x
COPY 1 /
FROM x AS X2
COPY 2 /
FROM b AS x
COPY 3 /
FROM x
COPY --from=x /3 /
COPY --from=X2 /2 /
COPY --from=0 /1 /
COPY --from=context / /image-of-that-name
RUN --mount=from=x,target=/m --mount=from=img:1,target=/i --mount=from=0,target=/z true
