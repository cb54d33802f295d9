package serve

import (
	stdnet "net"
	"net/http"
	"slices"
	"strings"
)

// checkHost refuses requests that reach this machine's own address under the name of
// another one, where no token protects the server. A web page could otherwise have its
// name resolve to 127.0.0.1, and the browser would let it ask (DNS rebinding).
func (s *Server) checkHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*stdnet.TCPAddr)
		if s.options.Token == "" && local != nil && local.IP.IsLoopback() && !s.isOwnHost(r.Host) {
			problemf(http.StatusMisdirectedRequest, "this server answers for localhost, not for %.100q; allow that host, or set a token", r.Host).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isOwnHost tells whether a Host header names this machine, or a host that is allowed.
// One that is empty comes from no browser.
func (s *Server) isOwnHost(host string) bool {
	if name, _, err := stdnet.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip := stdnet.ParseIP(host); ip != nil && ip.IsLoopback() {
		return true
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
