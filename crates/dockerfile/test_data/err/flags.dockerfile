FROM --platfrom=linux/amd64 a
COPY --form=builder a b
COPY --from=x --from=y a b
COPY --link=maybe a b
COPY --chown a b
ENV --x a=b
RUN --mount=type=cach,target=/x --netwerk=none true
RUN --network=hosst true
RUN --mount=type=bind,tagret=/x true
RUN --mount=target=/x,from=$IMAGE true
