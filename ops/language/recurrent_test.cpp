// RWKV's recurrence against its definition as a weighted mean, in long double.
#include <cmath>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;

namespace {

struct Inputs {
  HostTensor decay, first, key, value;
  Inputs(DType dtype, I batch, I steps, I channels, Placement p, std::mt19937_64& random)
      : decay(dtype, {channels}),
        first(dtype, {channels}),
        key(dtype, {batch, steps, channels}, p),
        value(dtype, {batch, steps, channels}, p) {
    decay.fill_random(random, -2, 1, false);
    first.fill_random(random, -1, 1, false);
    key.fill_random(random, -3, 3, false);
    value.fill_random(random, -1, 1, false);
  }
  // out = sum of exp(e_i) value_i / sum of exp(e_i), where e of this step is first + key and of step i before it
  // key - (steps between) exp(decay).
  void expect(I batch, I step, I channel, Number& out, Number& size) const {
    const Number w = std::exp(decay.get(channel));
    Number sum = 0, weight = 0;
    size = 0;
    for (I i = 0; i <= step; ++i) {
      const Number k = at(key, {batch, i, channel}), v = at(value, {batch, i, channel});
      const Number e =
          std::exp(i == step ? k + first.get(channel) : k - static_cast<Number>(step - 1 - i) * w);
      sum += e * v;
      weight += e;
      size += e * std::fabs(v);
    }
    out = sum / weight;
    // Errors of exponents, which grow with the steps, move the weights.
    size = size / weight * (4 + std::fabs(w) * static_cast<Number>(step + 1));
  }
};

void check_wkv(DType dtype, I batch, I steps, I channels, Placement p, std::mt19937_64& random) {
  const std::string which = fmt::format("{} [{}, {}, {}] {}", dtype_name(dtype), batch, steps,
                                        channels, placement_name(p));
  INFO(which);
  Inputs in(dtype, batch, steps, channels, p, random);
  HostTensor out(dtype, {batch, steps, channels}, p);
  const std::vector<unsigned char> before = out.bytes();
  must_call("rwkv_wkv", {&in.decay, &in.first, &in.key, &in.value, {}, &out});
  std::vector<Number> expected, scale;
  for (I i = 0; i < out.elements(); ++i) {
    const Shape place = coordinates(out.shape(), i);
    Number value, size;
    in.expect(place[0], place[1], place[2], value, size);
    expected.push_back(value);
    scale.push_back(size);
  }
  CHECK(compare(out, expected, Table::get().find("rwkv_wkv")->bound(), scale, steps) == "");
  CHECK(out.strayed(before) == 0);
}

}  // namespace

TEST_CASE("language: rwkv_wkv in every type, on all placements") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats)) check_wkv(dtype, 2, 17, 70, Placement::dense, random);
  for (const Placement p : {Placement::transposed, Placement::sliced})
    check_wkv(DType::f32, 3, 9, 20, p, random);
  check_wkv(DType::f32, 1, 1, 700, Placement::dense, random);
}

TEST_CASE("language: rwkv_wkv goes on from its state") {
  std::mt19937_64 random(seed());
  constexpr I batch = 2, steps = 12, channels = 33, cut = 5;
  Inputs in(DType::f32, batch, steps, channels, Placement::dense, random);
  HostTensor all(DType::f32, {batch, steps, channels}), state(DType::f32, {3, batch, channels});
  must_call("rwkv_wkv", {&in.decay, &in.first, &in.key, &in.value, {}, &all});
  state.fill([&](I i) { return i < 2 * batch * channels ? 0 : -1e38L; });
  const auto part = [&](const HostTensor& x, I start, I count) {
    HostTensor out(DType::f32, {batch, count, channels});
    out.fill([&](I i) {
      const Shape place = coordinates(out.shape(), i);
      return at(x, {place[0], place[1] + start, place[2]});
    });
    return out;
  };
  for (const auto& [start, count] : {std::pair{I{0}, cut}, std::pair{cut, steps - cut}}) {
    HostTensor key = part(in.key, start, count), value = part(in.value, start, count),
               out(DType::f32, {batch, count, channels});
    must_call("rwkv_wkv", {&in.decay, &in.first, &key, &value, &state, &out});
    CHECK(out.values() == part(all, start, count).values());
  }
}

TEST_CASE("language: rwkv_wkv of keys that exp cannot take, and of nothing") {
  HostTensor decay(DType::f32, {4}), first(DType::f32, {4}), key(DType::f32, {1, 3, 4}),
      value(DType::f32, {1, 3, 4}), out(DType::f32, {1, 3, 4}), state(DType::f32, {3, 1, 4});
  key.fill([](I i) { return i / 4 == 1 ? 500 : -500; });
  value.fill([](I i) { return i / 4 + 1; });
  must_give("rwkv_wkv", {&decay, &first, &key, &value, {}, &out}, out,
            [](const Shape& i) { return i[1] == 0 ? 1 : 2; });
  HostTensor none(DType::f32, {1, 0, 4}), empty = none;
  state.fill([](I i) { return i; });
  const HostTensor before = state;
  must_call("rwkv_wkv", {&decay, &first, &none, &none, &state, &empty});
  CHECK(state.values() == before.values());
}

TEST_CASE("language: what rwkv_wkv refuses") {
  HostTensor w(DType::f32, {4}), five(DType::f32, {5}), x(DType::f32, {2, 3, 4}),
      y = x, out = x, state(DType::f16, {3, 2, 4}), half(DType::f16, {2, 3, 4}),
      flat(DType::f32, {3, 4});
  must_refuse("rwkv_wkv", {&five, &w, &x, &y, {}, &out}, "rwkv_wkv: time_decay is of shape [5]");
  must_refuse("rwkv_wkv", {&w, &w, &x, &half, {}, &out}, "rwkv_wkv: value is of float16");
  must_refuse("rwkv_wkv", {&w, &w, &x, &y, &state, &out}, "rwkv_wkv: state is of float16");
  must_refuse("rwkv_wkv", {&w, &w, &flat, &y, {}, &out}, "rwkv_wkv: key is of rank 2");
  must_refuse("rwkv_wkv", {&w, &w, &x, &y, {}, &x}, "rwkv_wkv: key lies over a part of out");
}
