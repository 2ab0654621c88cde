#: allow network.host
#: allow security.insecure
#: allow device
FROM base
RUN --network=host x
RUN --network=none --security=insecure --device=vendor.com/gpu=0,required --device=vendor.com/gpu=1 x
