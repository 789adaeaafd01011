// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/pion/webrtc/v4"
)

// webrtcRoom imitates pion/webrtc's example data-channels-whip-whep-like: participants
// join a room with one POST and stay for 100 s on average, each over a peer connection
// of its own. Each says something every 20 s, and the server sends it to all.
func webrtcRoom() kit.Program {
	return kit.Program{Name: "webrtc-room", Library: "pion/webrtc/v4", Run: func(w *kit.World) {
		room := &room{api: webrtcAPI()}
		mux := http.NewServeMux()
		mux.HandleFunc("/whep", w.Handle("POST /whep", func(rw http.ResponseWriter, r *http.Request) {
			var offer webrtc.SessionDescription
			if json.NewDecoder(r.Body).Decode(&offer) != nil {
				return
			}
			answer, err := room.join(offer)
			if err != nil {
				http.Error(rw, err.Error(), http.StatusBadGateway)
				return
			}
			_ = json.NewEncoder(rw).Encode(answer)
		}))
		w.Role("participants", w.Serve(mux)+"/whep")
	}, Roles: map[string]func(*kit.Role){"participants": participants}}
}

func webrtcAPI() *webrtc.API {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return webrtc.NewAPI(webrtc.WithSettingEngine(s))
}

// room has the data channels of all participants.
type room struct {
	api      *webrtc.API
	mu       sync.Mutex
	channels map[*webrtc.DataChannel]bool
}

func (r *room) join(offer webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	pc, err := r.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateDisconnected {
			_ = pc.Close()
		}
	})
	pc.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnOpen(func() { r.set(d, true) })
		d.OnMessage(func(m webrtc.DataChannelMessage) { r.tell(m.Data) })
		d.OnClose(func() {
			r.set(d, false)
			_ = pc.Close()
		})
	})
	answer, err := negotiate(pc, offer)
	if err != nil {
		_ = pc.Close()
	}
	return answer, err
}

func negotiate(pc *webrtc.PeerConnection, offer webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	if err := pc.SetRemoteDescription(offer); err != nil {
		return nil, err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return nil, err
	}
	<-gathered
	return pc.LocalDescription(), nil
}

func (r *room) set(d *webrtc.DataChannel, here bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.channels == nil {
		r.channels = map[*webrtc.DataChannel]bool{}
	}
	if here {
		r.channels[d] = true
	} else {
		delete(r.channels, d)
	}
}

func (r *room) tell(what []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for d := range r.channels {
		_ = d.Send(what)
	}
}

func participants(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	api := webrtcAPI()
	r.Arrivals(r.Ctx, kit.Wave(0.4), func() {
		go func() {
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(100*time.Second))
			defer cancel()
			participate(ctx, api, url)
		}()
	})
}

func participate(ctx context.Context, api *webrtc.API, url string) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return
	}
	defer pc.Close() //nolint:errcheck // the session is over
	chat, err := pc.CreateDataChannel("chat", nil)
	if err != nil {
		return
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if pc.SetLocalDescription(offer) != nil {
		return
	}
	<-gathered
	answer, err := post(ctx, url, pc.LocalDescription())
	if err != nil || pc.SetRemoteDescription(answer) != nil {
		return
	}
	for kit.Sleep(ctx, kit.Around(20*time.Second)) {
		_ = chat.SendText("hello")
	}
}

func post(ctx context.Context, url string, offer *webrtc.SessionDescription) (answer webrtc.SessionDescription, err error) {
	raw, err := json.Marshal(offer)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return answer, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	return answer, json.NewDecoder(resp.Body).Decode(&answer)
}
