package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// reviewTimeout is how long the API server may take to review a request.
	reviewTimeout = 10 * time.Second
	// allowedFor is how long a reader is admitted without another review, deniedFor how long one
	// without the right is rejected.
	allowedFor = time.Minute
	deniedFor  = 10 * time.Second
	// maxReaders is how many readers are kept.
	maxReaders = 1024
)

// gate admits requests whose bearer token the API server knows, and whose user may read the path.
// controller-runtime has a filter that does the same, see docs/adr/0038.
type gate struct {
	tokens authenticationclient.TokenReviewInterface
	access authorizationclient.SubjectAccessReviewInterface
	// readers holds whether a reader may read, as a bool. It has only users that the API server
	// knows, so that nobody else can evict them.
	readers *cache.LRUExpireCache
}

// reader is a token, as a hash, and what it is used for.
type reader struct {
	token      [sha256.Size]byte
	verb, path string
}

// errUnknownUser means that the API server doesn't know the token.
var errUnknownUser = errors.New("the API server doesn't know the token")

// authenticated returns a filter that has the config's API server review who reads, and whether
// they may.
func authenticated(config *rest.Config, client *http.Client) (server.Filter, error) {
	tokens, err := authenticationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("set up the review of tokens: %w", err)
	}
	access, err := authorizationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("set up the review of rights: %w", err)
	}
	g := &gate{
		tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews(),
		readers: cache.NewLRUExpireCache(maxReaders),
	}
	return g.filter, nil
}

// filter puts the gate before a handler.
func (g *gate) filter(log logr.Logger, handler http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := bearerToken(r.Header.Get("Authorization"))
		if token == "" {
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
			return
		}
		allowed, err := g.mayRead(r.Context(), token, strings.ToLower(r.Method), r.URL.Path)
		switch {
		case errors.Is(err, errUnknownUser):
			http.Error(w, "the bearer token is not valid", http.StatusUnauthorized)
		case err != nil:
			if r.Context().Err() == nil {
				log.Error(err, "Cannot find out who may read", "path", r.URL.Path)
			}
			http.Error(w, "the API server could not be asked who may read this", http.StatusInternalServerError)
		case !allowed:
			http.Error(w, "the user of the bearer token may not read this", http.StatusForbidden)
		default:
			handler.ServeHTTP(w, r)
		}
	}), nil
}

// bearerToken returns the token of an Authorization header; empty if it has none.
func bearerToken(header string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// mayRead reports whether the token's user may read a path. The error is errUnknownUser if the
// token is unknown.
func (g *gate) mayRead(ctx context.Context, token, verb, path string) (bool, error) {
	key := reader{sha256.Sum256([]byte(token)), verb, path}
	if known, ok := g.readers.Get(key); ok {
		allowed, _ := known.(bool) // always a bool
		return allowed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	user, err := g.userOf(ctx, token)
	if err != nil {
		return false, err
	}
	allowed, err := g.isAllowed(ctx, user, verb, path)
	if err != nil {
		return false, err
	}
	lifetime := deniedFor
	if allowed {
		lifetime = allowedFor
	}
	g.readers.Add(key, allowed, lifetime)
	return allowed, nil
}

// userOf returns the user of a token.
func (g *gate) userOf(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review, err := g.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("review the token: %w", err)
	}
	if !review.Status.Authenticated {
		return nil, errUnknownUser
	}
	return &review.Status.User, nil
}

// isAllowed reports whether a user has the right to do a verb on a path.
func (g *gate) isAllowed(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	review, err := g.access.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("review the user's rights: %w", err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
