package operator

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"
)

// reviewer is a fake API server: it knows one user, by the token "good".
type reviewer struct {
	tokenErr, accessErr error
	allowed, denied     bool

	tokens int // reviewed tokens
	asked  []authorizationv1.SubjectAccessReviewSpec
}

type tokenReviews struct{ *reviewer }

func (r tokenReviews) Create(
	ctx context.Context, in *authenticationv1.TokenReview, _ metav1.CreateOptions,
) (*authenticationv1.TokenReview, error) {
	r.tokens++
	if err := errors.Join(r.tokenErr, ctx.Err()); err != nil {
		return nil, err
	}
	if in.Spec.Token != "good" {
		in.Status.Error = "invalid bearer token"
		return in, nil
	}
	in.Status.Authenticated = true
	in.Status.User = authenticationv1.UserInfo{
		Username: "system:serviceaccount:monitoring:prometheus", UID: "u-1", Groups: []string{"system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"pod": {"prometheus-0"}},
	}
	return in, nil
}

type accessReviews struct{ *reviewer }

func (r accessReviews) Create(
	_ context.Context, in *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions,
) (*authorizationv1.SubjectAccessReview, error) {
	r.asked = append(r.asked, in.Spec)
	in.Status.Allowed, in.Status.Denied = r.allowed, r.denied
	return in, r.accessErr
}

// gateBefore returns a gate before a handler that answers "figures".
func gateBefore(t *testing.T, r *reviewer, clock *testclock.FakePassiveClock) http.Handler {
	t.Helper()
	g := &gate{
		tokens: tokenReviews{r}, access: accessReviews{r},
		readers: cache.NewLRUExpireCacheWithClock(maxReaders, clock),
	}
	handler, err := g.filter(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte("figures")); err != nil {
			t.Error(err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func read(t *testing.T, handler http.Handler, path, authorization string) (code int, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Only a user whom the API server knows and allows to can read.
func TestGate(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		server        reviewer
		authorization string
		want          int
		reviews       int // of tokens
	}{
		"a user with the right":        {reviewer{allowed: true}, "Bearer good", http.StatusOK, 1},
		"the scheme in small letters":  {reviewer{allowed: true}, "bearer  good ", http.StatusOK, 1},
		"a user without the right":     {reviewer{}, "Bearer good", http.StatusForbidden, 1},
		"a right that is denied":       {reviewer{allowed: true, denied: true}, "Bearer good", http.StatusForbidden, 1},
		"no token":                     {reviewer{allowed: true}, "", http.StatusUnauthorized, 0},
		"an empty token":               {reviewer{allowed: true}, "Bearer ", http.StatusUnauthorized, 0},
		"another scheme":               {reviewer{allowed: true}, "Basic good", http.StatusUnauthorized, 0},
		"no scheme":                    {reviewer{allowed: true}, "good", http.StatusUnauthorized, 0},
		"a wrong token":                {reviewer{allowed: true}, "Bearer bad", http.StatusUnauthorized, 1},
		"tokens can't be reviewed":     {reviewer{allowed: true, tokenErr: broken}, "Bearer good", 500, 1},
		"rights can't be reviewed":     {reviewer{allowed: true, accessErr: broken}, "Bearer good", 500, 1},
		"two tokens are another token": {reviewer{allowed: true}, "Bearer good bad", http.StatusUnauthorized, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := gateBefore(t, &tt.server, testclock.NewFakePassiveClock(time.Now()))
			code, body := read(t, handler, "/metrics", tt.authorization)
			if code != tt.want || (body == "figures") != (tt.want == http.StatusOK) {
				t.Errorf("%d %q, want %d", code, body, tt.want)
			}
			if tt.server.tokens != tt.reviews {
				t.Errorf("%d tokens were reviewed, want %d", tt.server.tokens, tt.reviews)
			}
		})
	}
}

// The API server's review is about the user as it described it, and about the path.
func TestGateAsksOfTheUser(t *testing.T) {
	t.Parallel()
	r := &reviewer{allowed: true}
	read(t, gateBefore(t, r, testclock.NewFakePassiveClock(time.Now())), "/pools?x=y", "Bearer good")
	want := []authorizationv1.SubjectAccessReviewSpec{{
		User: "system:serviceaccount:monitoring:prometheus", UID: "u-1", Groups: []string{"system:authenticated"},
		Extra:                 map[string]authorizationv1.ExtraValue{"pod": {"prometheus-0"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/pools"},
	}}
	if diff := cmp.Diff(want, r.asked); diff != "" {
		t.Error(diff)
	}
}

// A review is valid for a while: for that path, that token, and no longer.
func TestGateRemembers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := testclock.NewFakePassiveClock(now)
	r := &reviewer{allowed: true}
	handler := gateBefore(t, r, clock)
	reads := func(path, token string, want, reviews int) {
		t.Helper()
		code, _ := read(t, handler, path, "Bearer "+token)
		if code != want || r.tokens != reviews {
			t.Errorf("%s by %s: %d after %d reviews, want %d after %d", path, token, code, r.tokens, want, reviews)
		}
	}
	reads("/metrics", "good", 200, 1)
	reads("/metrics", "good", 200, 1)
	reads("/pools", "good", 200, 2) // another right
	reads("/metrics", "bad", 401, 3)
	reads("/metrics", "bad", 401, 4) // an unknown user takes no room
	r.allowed = false
	reads("/metrics", "good", 200, 4)
	clock.SetTime(now.Add(allowedFor + time.Second))
	reads("/metrics", "good", 403, 5)
	r.allowed = true
	reads("/metrics", "good", 403, 5)
	clock.SetTime(now.Add(allowedFor + deniedFor + 2*time.Second))
	reads("/metrics", "good", 200, 6)
}

// A reader that disconnects ends the review.
func TestGateEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	handler := gateBefore(t, &reviewer{allowed: true}, testclock.NewFakePassiveClock(time.Now()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, request)
	if w.Code != http.StatusInternalServerError {
		t.Error(w.Code)
	}
}

func TestGateThatCannotBeSetUp(t *testing.T) {
	t.Parallel()
	config := &rest.Config{Host: "https://[broken"}
	if _, err := authenticated(config, http.DefaultClient); err == nil {
		t.Error("a host that can't be parsed is accepted")
	}
}
