// Activation functions, and those of two halves (glu and the like).
#include "ops/families.hpp"
#include "ops/pointwise/functions.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Tile;

void add_activations(Table& table) {
  const auto row = [&](const char* schema, double units, Expression e) {
    table.add<PointwiseOperator>(schema, Rule::same, floats, ulp(units), e);
  };
  const auto plain = [&](const char* schema, DTypes dtypes, Expression e) {
    table.add<PointwiseOperator>(schema, Rule::same, dtypes, exact, e);
  };

  plain("relu(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(max(x, a.full(0))));
  plain("relu6(Tensor input, Tensor! out)", numbers, FLAGOS_OPS_X(clamp(x, a.full(0), a.full(6))));
  row("leaky_relu(Tensor input, Scalar negative_slope=0.01, Tensor! out)", 1,
      FLAGOS_OPS_X(where(x > 0.0, x, x * a.number(0))));
  row("elu(Tensor input, Scalar alpha=1.0, Scalar scale=1.0, Scalar input_scale=1.0, Tensor! out)",
      8,
      FLAGOS_OPS_X(
          where(x > 0.0, x * a.number(1), expm1(x * a.number(2)) * (a.number(0) * a.number(1)))));
  row("selu(Tensor input, Tensor! out)", 8,
      FLAGOS_OPS_X(where(x > 0.0, 1.0507009873554804934 * x, 1.7580993408473768599 * expm1(x))));
  row("celu(Tensor input, Scalar alpha=1.0, Tensor! out)", 8,
      FLAGOS_OPS_X(where(x > 0.0, x, a.number(0) * expm1(x / a.number(0)))));
  row("gelu(Tensor input, str approximate=none|tanh, Tensor! out)", 32,
      FLAGOS_OPS_X(gelu(x, a.choice(0) == 1)));
  row("silu(Tensor input, Tensor! out)", 8, FLAGOS_OPS_X(silu(x)));
  row("mish(Tensor input, Tensor! out)", 16, FLAGOS_OPS_X(x * tanh(softplus(x, 1.0, 20.0))));
  row("softplus(Tensor input, Scalar beta=1.0, Scalar threshold=20.0, Tensor! out)", 8,
      FLAGOS_OPS_X(softplus(x, a.number(0), a.number(1))));
  row("sigmoid(Tensor input, Tensor! out)", 8, FLAGOS_OPS_X(sigmoid(x)));
  row("hardsigmoid(Tensor input, Tensor! out)", 2,
      FLAGOS_OPS_X(clamp(x + 3.0, a.full(0), a.full(6)) / 6.0));
  row("hardswish(Tensor input, Tensor! out)", 3,
      FLAGOS_OPS_X(x * clamp(x + 3.0, a.full(0), a.full(6)) / 6.0));
  plain("hardtanh(Tensor input, Scalar min_val=-1, Scalar max_val=1, Tensor! out)", numbers,
        FLAGOS_OPS_X(clamp(x, a.number(0), a.number(1))));
  plain("hardshrink(Tensor input, Scalar lambd=0.5, Tensor! out)", floats,
        FLAGOS_OPS_X(where((x >= -a.number(0)) & (x <= a.number(0)), 0.0, x)));
  row("softshrink(Tensor input, Scalar lambd=0.5, Tensor! out)", 1,
      FLAGOS_OPS_X(where(x > a.number(0), x - a.number(0),
                         where(x < -a.number(0), x + a.number(0), x * 0.0))));
  plain("threshold(Tensor input, Scalar threshold, Scalar value, Tensor! out)", numbers,
        FLAGOS_OPS_X(where(x <= a.number(0), a.full(0) + a.number(1), x)));
  row("prelu(Tensor input, Tensor weight, Tensor! out)", 1,
      FLAGOS_OPS_XY(where(x > 0.0, x, x * y)));
  row("log_sigmoid(Tensor input, Tensor! out)", 8, FLAGOS_OPS_X(log_sigmoid(x)));
  // Gates given as two tensors; halves of one tensor are two views of it.
  row("silu_and_mul(Tensor gate, Tensor up, Tensor! out)", 8, FLAGOS_OPS_XY(silu(x) * y));
  row("gelu_and_mul(Tensor gate, Tensor up, str approximate=none|tanh, Tensor! out)", 32,
      FLAGOS_OPS_XY(gelu(x, a.choice(0) == 1) * y));
}

}  // namespace flagos::ops
