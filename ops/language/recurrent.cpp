// Linear attention as a recurrence: RWKV's, version 4.
#include "ops/engine/launch.hpp"
#include "ops/engine/product.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// Channels are independent; a program does a block of them, one step after the other. The sums are kept as multiples of
// exp(most), so that nothing overflows.
std::string wkv_text(DType type, DType state_type, bool has_state, int width) {
  const tile::DType computed = computed_as(type);
  tile::Module module;
  module.kernel("ops_rwkv_wkv", {{"WIDTH", width}}, [&](Kernel& k) {
    const auto read = [&](const char* name) {
      return k.pointer(name, stored_as(type), "readonly, noalias");
    };
    const auto decays = read("time_decay"), firsts = read("time_first");
    const auto keys = read("key"), values = read("value");
    const auto kept = has_state ? k.pointer("state", stored_as(state_type), "noalias") : keys;
    const auto to = k.pointer("out", stored_as(type), "noalias");
    const auto size = [&](const std::string& name) { return k.scalar(name, i64); };
    const Tile sequences = size("sequences"), steps = size("steps"), channels = size("channels");
    const Tile decay_step = size("decay_step"), first_step = size("first_step");
    std::vector<std::vector<tile::Extent>> strides;
    for (const char* name : {"key", "value", "out"}) {
      strides.emplace_back();
      for (int axis = 0; axis < 3; ++axis)
        strides.back().emplace_back(size(fmt::format("{}{}", name, axis)));
    }
    const Tile across = (channels + (width - 1)) / width;
    for_each_block(k, sequences * across, [&](const Tile& block) {
      const Tile sequence = block / across, at = block % across * width;
      const auto row = [&](const tile::Pointer& pointer, const Tile& step) {
        return cast(k.load(k.view(pointer, {channels}, {step}), {at}, {width}), computed);
      };
      const auto view = [&](const tile::Pointer& pointer, int which) {
        return k.view(pointer, {sequences, steps, channels}, strides[which]);
      };
      const tile::View memory =
          k.view(kept, {3, sequences, channels}, {sequences * channels, channels, 1});
      const auto start = [&](int part, double otherwise) {
        if (!has_state) return k.full(computed, {width}, otherwise);
        return cast(reshape(k.load(memory, {part, sequence, at}, {1, 1, width}), {width}),
                    computed);
      };
      const Tile decay = -exp(row(decays, decay_step)), first = row(firsts, first_step);
      const auto end = k.loop(
          k.constant(i64, 0), steps, k.constant(i64, 1),
          carry(start(0, 0), start(1, 0), start(2, -1e38)),
          [&](const Tile& step, const Tile& sum, const Tile& weight, const Tile& most) {
            const auto element = [&](const tile::Pointer& pointer, int which) {
              const Tile loaded = k.load(view(pointer, which), {sequence, step, at}, {1, 1, width});
              return cast(reshape(loaded, {width}), computed);
            };
            const Tile key = element(keys, 0), value = element(values, 1);
            // This step counts by exp(first + key) for what comes out of it.
            const Tile now = first + key, high = max(most, now);
            const Tile old_part = exp(most - high), new_part = exp(now - high);
            const Tile result =
                (old_part * sum + new_part * value) / (old_part * weight + new_part);
            k.store(view(to, 2), {sequence, step, at},
                    reshape(cast(result, stored_as(type)), {1, 1, width}));
            // And by exp(key) for all steps behind it, for which what was before fades.
            const Tile faded = most + decay, next = max(faded, key);
            const Tile keep = exp(faded - next), take = exp(key - next);
            return carry(keep * sum + take * value, keep * weight + take, next);
          });
      if (has_state)
        for (int part = 0; part < 3; ++part)
          k.store(memory, {part, sequence, at},
                  reshape(cast(end[static_cast<std::size_t>(part)], stored_as(state_type)),
                          {1, 1, width}));
    });
  });
  return module.text(false);
}

void run_wkv(Call& call) {
  constexpr std::size_t key = 2, value = 3, state = 4, out = 5;
  const Tensor& keys = call.tensor(key);
  call.expect_dtype(key, floats);
  call.expect_rank(key, 3, 3);
  const std::int64_t sequences = keys.shape[0], channels = keys.shape[2];
  for (const std::size_t i : {0, 1}) call.expect_shape(i, {&channels, 1});
  for (const std::size_t i : {value, out}) call.expect_shape(i, keys);
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, value, out})
    call.expect_same_dtype(i, key);
  const DType state_type = keys.dtype == DType::f64 ? DType::f64 : DType::f32;
  const bool has_state = call.has(state);
  if (has_state) {
    call.expect_shape(state, std::array<std::int64_t, 3>{3, sequences, channels});
    call.expect_dtype(state, state_type);
    call.expect_no_overlap(state, false);
  }
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, key, value})
    expect_apart(call, i, out);
  if (sequences == 0 || channels == 0) return;
  std::unique_ptr<Dense> kept;
  if (has_state) kept = std::make_unique<Dense>(call, call.tensor(state));
  int width = 64;
  while (width < channels && width < (call.device().is_serial() ? 512 : 256)) width *= 2;
  Launch launch(call, call.device().kernel(
                          call.key()
                              .add(static_cast<std::uint64_t>(keys.dtype), 4)
                              .add(has_state, 1)
                              .add(static_cast<std::uint64_t>(width), 12),
                          [&] { return wkv_text(keys.dtype, state_type, has_state, width); }));
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, key, value})
    launch.pointer(call.tensor(i).address);
  if (has_state) launch.pointer(kept->tensor().address);
  launch.pointer(call.tensor(out).address);
  launch.integer(sequences).integer(keys.shape[1]).integer(channels);
  launch.integer(call.tensor(0).strides[0]).integer(call.tensor(1).strides[0]);
  for (const std::size_t i : {key, value, out})
    for (int axis = 0; axis < 3; ++axis) launch.integer(call.tensor(i).strides[axis]);
  launch.run(sequences * ((channels + width - 1) / width));
  if (has_state && kept->is_copy()) copy(call, call.tensor(state), kept->tensor());
}

}  // namespace

void add_recurrent(Table& table) {
  table.add(
      "rwkv_wkv(Tensor time_decay, Tensor time_first, Tensor key, Tensor value, Tensor!? state, "
      "Tensor! out)",
      floats, summed(16, 8), run_wkv);
}

}  // namespace flagos::ops
