#include "ops/engine/copy.hpp"

#include "ops/engine/walk.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

enum SharedKernel : std::uint32_t { kernel_move, kernel_cast, kernel_fill, kernel_truth };

Tensor part(const Tensor& tensor, std::uint64_t offset) {
  Tensor out = tensor;
  out.dtype = DType::f32;
  out.address += offset;
  for (int axis = 0; axis < out.rank; ++axis) out.strides[axis] *= 2;
  return out;
}

std::uint64_t bytes_of(DType dtype, std::span<const std::int64_t> shape) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t extent : shape) bytes *= static_cast<std::uint64_t>(extent);
  return std::max<std::uint64_t>(bytes, size_of(dtype));
}

}  // namespace

Tensor real_part(const Tensor& tensor) { return part(tensor, 0); }
Tensor imaginary_part(const Tensor& tensor) { return part(tensor, sizeof(float)); }

Tensor as_moved(const Tensor& tensor) {
  Tensor out = tensor;
  out.dtype = moved_as(tensor.dtype);
  return out;
}

Tile to_computed(const Tile& stored, DType dtype) {
  return dtype == DType::boolean ? stored != 0 : cast(stored, computed_as(dtype));
}

Tile to_stored(const Tile& value, DType dtype) {
  if (dtype != DType::boolean) return cast(value, stored_as(dtype));
  return cast(value.dtype() == tile::DType::i1 ? value : value != 0, tile::DType::u8);
}

void copy(const Call& call, const Tensor& out, const Tensor& in) {
  Walk walk(call, out.dims());
  if (out.dtype == in.dtype) {
    const int to = walk.write(as_moved(out)), from = walk.read(as_moved(in));
    return walk.run(Walk::shared_key(kernel_move), "move",
                    [&](const Here& here) { here.store(to, here.load(from)); });
  }
  if (out.dtype == DType::c64) {
    fill(call, imaginary_part(out), Scalar{});
    return copy(call, real_part(out), in);
  }
  if (in.dtype == DType::c64 && out.dtype != DType::boolean) return copy(call, out, real_part(in));
  const int to = walk.write(out);
  if (in.dtype == DType::c64) {
    const int re = walk.read(real_part(in)), im = walk.read(imaginary_part(in));
    return walk.run(Walk::shared_key(kernel_truth), "truth", [&](const Here& here) {
      here.store(to, to_stored((here.load(re) != 0.0) | (here.load(im) != 0.0), DType::boolean));
    });
  }
  const int from = walk.read(in);
  walk.run(Walk::shared_key(kernel_cast), "cast", [&](const Here& here) {
    const Tile x = here.load(from);
    here.store(to, to_stored(in.dtype == DType::boolean ? x != 0 : x, out.dtype));
  });
}

void fill(const Call& call, const Tensor& out, const Scalar& value) {
  if (out.dtype == DType::c64) {
    fill(call, imaginary_part(out), Scalar{DType::f64, 0, value.imaginary});
    return fill(call, real_part(out), Scalar{DType::f64, 0, value.as_real()});
  }
  Walk walk(call, out.dims());
  const int to = walk.write(out);
  const tile::DType computed =
      out.dtype == DType::boolean ? tile::DType::u8 : computed_as(out.dtype);
  // As a cast: truth values by being other than 0, integers toward zero.
  const bool real = value.dtype == DType::f64;
  const std::int64_t whole = !real                         ? value.integer
                             : out.dtype == DType::boolean ? (value.real != 0 ? 1 : 0)
                             : value.real >= 0x1p63        ? INT64_MAX
                             : value.real <= -0x1p63       ? INT64_MIN
                             : value.real != value.real    ? 0
                                                           : static_cast<std::int64_t>(value.real);
  walk.number(computed, value.as_real(), out.dtype == DType::boolean ? whole != 0 : whole);
  walk.run(Walk::shared_key(kernel_fill), "fill", [&](const Here& here) {
    here.store(to, here.full(stored_as(out.dtype), cast(here.numbers[0], stored_as(out.dtype))));
  });
}

Scratch::Scratch(const Call& call, DType dtype, std::span<const std::int64_t> shape)
    : memory_(call.device(), call.stream(), bytes_of(dtype, shape)),
      tensor_(Tensor::dense(memory_.address(), dtype, shape)) {}

Dense::Dense(const Call& call, const Tensor& tensor)
    : Dense(call, tensor, tensor.dims(), tensor.dtype) {}

Dense::Dense(const Call& call, const Tensor& tensor, std::span<const std::int64_t> shape,
             DType dtype)
    : tensor_(tensor) {
  if (tensor.dtype == dtype && tensor.is_dense() && same_shape(tensor.dims(), shape)) return;
  scratch_ = std::make_unique<Scratch>(call, dtype, shape);
  copy(call, scratch_->tensor(), tensor);
}

}  // namespace flagos::ops
