// Command hello answers every request with a greeting in JSON.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"time"
)

type greeting struct {
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Version   string    `json:"version"`
}

func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(greeting{
		Message:   "Hello from a multi-stage Go image",
		Timestamp: time.Now().UTC(),
		Version:   "1.0.0",
	})
	if err != nil {
		log.Printf("write answer: %v", err)
	}
}

func main() {
	http.HandleFunc("/", answer)
	log.Println("listening on :8080")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
