#: files src
#: arg SOURCE_DATE_EPOCH=SRC
FROM scratch
