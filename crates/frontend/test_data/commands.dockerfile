FROM debian AS base
ENTRYPOINT ["/entry"]
FROM base
CMD ["one", "two words"]
ENTRYPOINT exec top
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s CMD curl -f http://localhost/ || exit 1
VOLUME /data
MAINTAINER me
