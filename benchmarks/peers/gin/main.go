// Gin with gorilla/websocket, as gorilla's own examples use them: an upgrader with buffers of 1,024 bytes, one goroutine for
// each connection (and one more for its pings), a prepared message for a fan-out.
package main

import (
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	CheckOrigin:     func(*http.Request) bool { return true },
}

func echo(c *gin.Context) {
	conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	if len(os.Args) > 2 && os.Args[2] == "pings" {
		done := make(chan struct{})
		defer close(done)
		go ping(conn, done)
	}
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func ping(conn *websocket.Conn, done chan struct{}) {
	ticker := time.NewTicker(25 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(10*time.Second)) != nil {
				return
			}
		case <-done:
			return
		}
	}
}

type room struct {
	sync.Mutex
	members map[*websocket.Conn]bool
}

func (r *room) fanOut(c *gin.Context) {
	conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	r.Lock()
	r.members[conn] = true
	r.Unlock()
	defer func() {
		r.Lock()
		delete(r.members, conn)
		r.Unlock()
	}()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		r.send(kind, message)
	}
}

func (r *room) send(kind int, message []byte) {
	prepared, err := websocket.NewPreparedMessage(kind, message)
	if err != nil {
		return
	}
	r.Lock()
	defer r.Unlock()
	for conn := range r.members {
		conn.WritePreparedMessage(prepared)
	}
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/echo", echo)
	everybody := &room{members: map[*websocket.Conn]bool{}}
	router.GET("/fanout", everybody.fanOut)
	log.Fatal(router.Run("127.0.0.1:" + os.Args[1]))
}
