#: of base onbuild WORKDIR ${UNSET:?is needed}
#: of base onbuild ADD --checksum=x local /
#: of base onbuild USER $UNKNOWN
FROM base
