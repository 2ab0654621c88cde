// Package greeting makes greetings.
package greeting

// For returns the greeting of a name, or of the world where there is none.
func For(name string) string {
	if name == "" {
		name = "world"
	}
	return "Hello, " + name + "!"
}
