package codec_test

import (
	"fmt"

	"github.com/gearman-operator/gearman-operator/gearman/codec"
)

// This is what a PHP client and worker that use Net_Gearman send each other.
func Example() {
	arg, _ := codec.NetGearman.Arg.Encode(map[string]any{"file": "cat.jpg", "width": 80})
	fmt.Println(string(arg))
	result, _ := codec.NetGearman.Result.Encode(true)
	fmt.Println(string(result))
	var ok bool
	err := codec.NetGearman.Result.Decode(result, &ok)
	fmt.Println(ok, err)
	// Output:
	// {"file":"cat.jpg","width":80}
	// {"result":true}
	// true <nil>
}
