module example.com/lathe/certificates

go 1.21
