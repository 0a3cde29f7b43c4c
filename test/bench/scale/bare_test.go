package scale

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/bench/operator"
)

const bareEvery = 100 * time.Millisecond

// bareWrites patches a ConfigMap that nobody watches again and again, until the returned function
// is called, which returns how long each patch took, in ms. It is the least time that any change of
// replicas can take on this machine at this time.
func (b *bench) bareWrites(t *testing.T) (stop func() []float64) {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operator.Namespace, Name: "bare"}}
	if err := b.k8s.Create(t.Context(), m); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var took []float64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			began := time.Now()
			// ctx is not used, so that the last patch is not cut short.
			if err := b.k8s.Patch(context.WithoutCancel(ctx), m, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i))); err != nil {
				t.Errorf("patch a ConfigMap: %v", err)
			}
			took = append(took, time.Since(began).Seconds()*1000)
			select {
			case <-ctx.Done():
			case <-time.After(bareEvery - time.Since(began)):
			}
		}
	})
	stop = func() []float64 {
		cancel()
		wg.Wait()
		return took
	}
	t.Cleanup(func() { stop() })
	return stop
}
