FROM base
RUN --network=host x
RUN --security=insecure x
RUN --device=vendor.com/gpu=0 x
ENV ROOT=/
RUN --mount=target=$ROOT x
RUN --mount=type=secret,id=$EMPTY x
RUN --mount=target=.. x
