// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
	telegram "github.com/go-telegram-bot-api/telegram-bot-api/v5"
)

// telegramBots is a service that runs Telegram bots for its customers. Each bot
// receives updates by long polls of up to a minute, as the README of
// go-telegram-bot-api shows, and answers each message. A customer starts a bot with a
// request and stops it after three minutes on average. A bot gets a message every 90 s.
func telegramBots() kit.Program {
	return kit.Program{Name: "telegram-bots", Library: "go-telegram-bot-api/telegram-bot-api/v5", Run: func(w *kit.World) {
		api := w.Role("telegram", nil) + "/bot%s/%s"
		var n atomic.Int64
		w.Load(kit.Wave(0.6), func() {
			var bot *telegram.BotAPI
			w.Root("POST /bots", func(context.Context) { bot = startBot(w, strconv.FormatInt(n.Add(1), 10), api) })
			if bot != nil && kit.Sleep(w.Ctx, kit.Around(3*time.Minute)) {
				w.Root("DELETE /bots", func(context.Context) { bot.StopReceivingUpdates() })
			}
		})
		w.Load(kit.Wave(10), func() { w.Root("GET /bots", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}, Roles: map[string]func(*kit.Role){"telegram": telegramServer}}
}

func startBot(w *kit.World, token, api string) *telegram.BotAPI {
	bot, err := telegram.NewBotAPIWithAPIEndpoint(token, api)
	if err != nil {
		w.Logf("bot %s: %v", token, err)
		return nil
	}
	u := telegram.NewUpdate(0)
	u.Timeout = 60
	updates := bot.GetUpdatesChan(u)
	go func() {
		for update := range updates {
			if update.Message != nil {
				w.Root("telegram.update", func(context.Context) {
					_, _ = bot.Send(telegram.NewMessage(update.Message.Chat.ID, update.Message.Text))
				})
			}
		}
	}()
	return bot
}

// telegramServer is what the bots need of Telegram's API.
func telegramServer(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	var update atomic.Int64
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		const message = `{"message_id":1,"date":1,"chat":{"id":1,"type":"private"},"text":"hello"}`
		result := `{"id":1,"is_bot":true,"first_name":"bot","username":"bot"}`
		switch {
		case strings.HasSuffix(req.URL.Path, "/getUpdates"):
			timeout, _ := strconv.Atoi(req.FormValue("timeout"))
			poll, next := time.Duration(timeout)*time.Second, kit.Around(90*time.Second)
			kit.Sleep(req.Context(), min(poll, next))
			result = "[]"
			if next < poll {
				result = fmt.Sprintf(`[{"update_id":%d,"message":%s}]`, update.Add(1), message)
			}
		case strings.HasSuffix(req.URL.Path, "/sendMessage"):
			result = message
		}
		fmt.Fprintf(rw, `{"ok":true,"result":%s}`, result)
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
