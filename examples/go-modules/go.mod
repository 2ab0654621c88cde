module example.com/lathe/modules

go 1.21

require example.com/lathe/greeting v1.0.0

// The module lives beside this one, so that the example needs no module proxy.
replace example.com/lathe/greeting => ./greeting
