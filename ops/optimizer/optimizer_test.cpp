// Optimisers against their definitions in long double, over several steps; and the norm of gradients.
#include <cmath>
#include <limits>

#include "ops/table.hpp"
#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

using I = std::int64_t;
using List = std::vector<HostTensor*>;

namespace {

// Parameters of several shapes, with what belongs to them.
struct Model {
  std::vector<HostTensor> self, grads, first, second, most, steps;
  Model(DType dtype, DType kept, Placement p, std::mt19937_64& random) {
    for (const Shape& shape : {Shape{3, 70}, Shape{}, Shape{5, 0}, Shape{2, 3, 4}}) {
      const Placement where_it_lies = shape.size() < 2 ? Placement::dense : p;
      self.emplace_back(dtype, shape, where_it_lies).fill_random(random, -2, 2, false);
      grads.emplace_back(dtype, shape, where_it_lies).fill_random(random, -1, 1, false);
      for (auto* const states : {&first, &second, &most})
        states->emplace_back(kept, shape).fill([](I) { return 0; });
      steps.push_back(HostTensor::of(DType::f32, {}, {0}));
    }
  }
  static List list(std::vector<HostTensor>& tensors) {
    List out;
    for (HostTensor& tensor : tensors) out.push_back(&tensor);
    return out;
  }
};

// What a tensor holds should be near `expected`, to which `scale` was added up; then it is taken as it is.
void check(const HostTensor& found, const std::vector<Number>& expected,
           const std::vector<Number>& scale, const char* what) {
  INFO(what);
  CHECK(compare(found, expected, Table::get().find("fused_adam")->bound(), scale, 4) == "");
}

struct Sgd {
  double decay = 0, momentum = 0, lr = 0.1, dampening = 0;
  bool nesterov = false, maximize = false;
};

void check_sgd(const Sgd& c, DType dtype, DType kept, Placement p, std::mt19937_64& random) {
  const std::string which = fmt::format(
      "{} decay {} momentum {} dampening {} nesterov {} maximize {} {}", dtype_name(dtype), c.decay,
      c.momentum, c.dampening, c.nesterov, c.maximize, placement_name(p));
  INFO(which);
  Model m(dtype, kept, p, random);
  for (int step = 0; step < 3; ++step) {
    const Model before = m;
    must_call("fused_sgd", {Model::list(m.self),
                            Model::list(m.grads),
                            c.momentum != 0 ? Model::list(m.first) : List{},
                            c.decay,
                            c.momentum,
                            c.lr,
                            c.dampening,
                            c.nesterov,
                            c.maximize,
                            step == 0,
                            {},
                            {}});
    for (std::size_t i = 0; i < m.self.size(); ++i) {
      std::vector<Number> values, buffers, scale, buffer_scale;
      for (I j = 0; j < m.self[i].elements(); ++j) {
        const Number x = before.self[i].get(j), raw = before.grads[i].get(j);
        const Number g = (c.maximize ? -raw : raw) + c.decay * x;
        const Number size = std::fabs(raw) + std::fabs(c.decay * x);
        const Number old = before.first[i].get(j);
        const Number buffer = step == 0 ? g : c.momentum * old + (1 - c.dampening) * g;
        const Number change = c.momentum == 0 ? g : c.nesterov ? g + c.momentum * buffer : buffer;
        values.push_back(x - c.lr * change);
        scale.push_back(std::fabs(x) + 2 * c.lr * (size + std::fabs(old)));
        buffers.push_back(buffer);
        buffer_scale.push_back(size + std::fabs(old));
      }
      check(m.self[i], values, scale, "self");
      CHECK(m.self[i].strayed(before.self[i].bytes()) == 0);
      CHECK(m.grads[i].bytes() == before.grads[i].bytes());
      if (c.momentum != 0) check(m.first[i], buffers, buffer_scale, "buffer");
    }
  }
}

struct Adam {
  const char* op = "fused_adam";
  double lr = 0.01, beta1 = 0.9, beta2 = 0.999, decay = 0, eps = 1e-8;
  bool amsgrad = false, maximize = false;
};

Arguments adam_arguments(Model& m, const Adam& c) {
  return {Model::list(m.self),
          Model::list(m.grads),
          Model::list(m.first),
          Model::list(m.second),
          c.amsgrad ? Model::list(m.most) : List{},
          Model::list(m.steps),
          c.lr,
          c.beta1,
          c.beta2,
          c.decay,
          c.eps,
          c.amsgrad,
          c.maximize,
          {},
          {}};
}

void check_adam(const Adam& c, DType dtype, DType kept, Placement p, std::mt19937_64& random) {
  const std::string which =
      fmt::format("{} {} decay {} amsgrad {} maximize {} {}", c.op, dtype_name(dtype), c.decay,
                  c.amsgrad, c.maximize, placement_name(p));
  INFO(which);
  Model m(dtype, kept, p, random);
  for (int step = 1; step <= 3; ++step) {
    for (HostTensor& count : m.steps) count.set(0, step);
    if (step == 3)  // so that the largest of squares is not the last one
      for (HostTensor& g : m.grads) g.fill([](I i) { return (i % 3 - 1) / 8.0L; });
    const Model before = m;
    must_call(c.op, adam_arguments(m, c));
    for (std::size_t i = 0; i < m.self.size(); ++i) {
      std::vector<Number> values, means, squares, largest, scale, mean_scale, square_scale;
      for (I j = 0; j < m.self[i].elements(); ++j) {
        const bool decoupled = std::string(c.op) == "fused_adamw";
        Number x = before.self[i].get(j), g = before.grads[i].get(j);
        if (c.maximize) g = -g;
        Number size = std::fabs(g);
        if (decoupled) {
          x -= c.lr * c.decay * x;
        } else {
          size += std::fabs(c.decay * x);
          g += c.decay * x;
        }
        const Number mean = c.beta1 * before.first[i].get(j) + (1 - c.beta1) * g;
        const Number square = c.beta2 * before.second[i].get(j) + (1 - c.beta2) * g * g;
        const Number most = std::max(before.most[i].get(j), square);
        const Number one = 1 - std::pow(static_cast<Number>(c.beta1), step),
                     two = 1 - std::pow(static_cast<Number>(c.beta2), step);
        const Number root = std::sqrt(c.amsgrad ? most : square) / std::sqrt(two) + c.eps;
        values.push_back(x - c.lr / one * mean / root);
        const Number sum = c.beta1 * std::fabs(before.first[i].get(j)) + (1 - c.beta1) * size;
        // An error of the gradient counts in its square as well.
        const Number weight = size == 0 ? 0 : size / std::max(std::fabs(g), size / 1000);
        scale.push_back(std::fabs(x) + c.lr / one * sum / root * (1 + weight));
        means.push_back(mean);
        mean_scale.push_back(sum);
        squares.push_back(square);
        square_scale.push_back(c.beta2 * before.second[i].get(j) + (1 - c.beta2) * size * size);
        largest.push_back(most);
      }
      check(m.self[i], values, scale, "self");
      CHECK(m.self[i].strayed(before.self[i].bytes()) == 0);
      CHECK(m.grads[i].bytes() == before.grads[i].bytes());
      check(m.first[i], means, mean_scale, "mean");
      check(m.second[i], squares, square_scale, "square");
      if (c.amsgrad) check(m.most[i], largest, square_scale, "largest");
    }
  }
}

}  // namespace

TEST_CASE("optimizer: fused_sgd") {
  std::mt19937_64 random(seed());
  for (const DType dtype : types_of(floats)) {
    check_sgd({0.01, 0.9, 0.1, 0, true, false}, dtype, dtype, Placement::dense, random);
    if (dtype == DType::bf16)
      check_sgd({0, 0.9, 0.1, 0.5, false, true}, dtype, DType::f32, Placement::dense, random);
  }
  for (const Placement p : own_placements()) {
    check_sgd({}, DType::f32, DType::f32, p, random);
    check_sgd({0.05, 0.8, 0.2, 0.25, false, true}, DType::f32, DType::f32, p, random);
  }
}

TEST_CASE("optimizer: fused_adam and fused_adamw") {
  std::mt19937_64 random(seed());
  for (const char* const op : {"fused_adam", "fused_adamw"}) {
    Adam c{op};
    for (const DType dtype : types_of(floats))
      check_adam(c, dtype, size_of(dtype) == 2 ? DType::f32 : dtype, Placement::dense, random);
    c.decay = 0.1;
    c.amsgrad = true;
    for (const Placement p : own_placements()) check_adam(c, DType::f32, DType::f32, p, random);
    c.maximize = true;
    c.beta1 = 0;
    check_adam(c, DType::f32, DType::f32, Placement::dense, random);
  }
}

TEST_CASE("optimizer: the scale of gradients, and steps that are left out") {
  std::mt19937_64 random(seed());
  HostTensor scale = HostTensor::of(DType::f32, {}, {4}),
             none = HostTensor::of(DType::f32, {1}, {0}),
             found = HostTensor::of(DType::f32, {1}, {1});
  for (const std::string op : {"fused_sgd", "fused_adam"}) {
    Model plain(DType::f32, DType::f32, Placement::dense, random);
    for (HostTensor& count : plain.steps) count.set(0, 1);
    Model scaled = plain;
    for (HostTensor& g : scaled.grads)
      for (I j = 0; j < g.elements(); ++j) g.set(j, g.get(j) * 4);
    const auto arguments = [&](Model& m, HostTensor* by, HostTensor* infinite) -> Arguments {
      if (op == "fused_adam") {
        Arguments out = adam_arguments(m, {});
        out[13] = by;
        out[14] = infinite;
        return out;
      }
      return {Model::list(m.self),
              Model::list(m.grads),
              Model::list(m.first),
              0.0,
              0.9,
              0.1,
              0.0,
              false,
              false,
              false,
              by,
              infinite};
    };
    const Model before = scaled;
    must_call(op, arguments(scaled, &scale, &found));
    for (std::size_t i = 0; i < scaled.self.size(); ++i) {
      CHECK(scaled.self[i].bytes() == before.self[i].bytes());
      CHECK(scaled.first[i].bytes() == before.first[i].bytes());
    }
    must_call(op, arguments(scaled, &scale, &none));
    must_call(op, arguments(plain, nullptr, nullptr));
    // Divided by a power of two, gradients are the same again; and they are written.
    for (std::size_t i = 0; i < scaled.self.size(); ++i) {
      CHECK(scaled.self[i].values() == plain.self[i].values());
      CHECK(scaled.grads[i].values() == plain.grads[i].values());
    }
  }
}

TEST_CASE("optimizer: clip_grad_norm") {
  std::mt19937_64 random(seed());
  const double inf = std::numeric_limits<double>::infinity();
  for (const double order : {2.0, 1.0, inf, 3.5})
    for (const DType dtype : types_of(order == 2 ? floats : DTypes(DType::f32)))
      for (const double most : {0.5, 1e6}) {
        INFO(dtype_name(dtype) << " order " << order << " most " << most);
        Model m(dtype, DType::f32, order == 2 ? Placement::sliced : Placement::dense, random);
        const Model before = m;
        HostTensor total(dtype == DType::f64 ? DType::f64 : DType::f32, {});
        must_call("clip_grad_norm", {Model::list(m.grads), most, order, &total});
        Number sum = 0;
        I terms = 0;
        for (const HostTensor& g : before.grads)
          for (const Number value : g.values()) {
            sum = order == inf ? std::max(sum, std::fabs(value))
                               : sum + std::pow(std::fabs(value), static_cast<Number>(order));
            ++terms;
          }
        const Number norm = order == inf ? sum : std::pow(sum, 1 / static_cast<Number>(order));
        const Bound bound = Table::get().find("clip_grad_norm")->bound();
        CHECK(compare(total, {norm}, bound, {norm}, terms) == "");
        const Number factor = std::min(most / (norm + 1e-6L), Number{1});
        for (std::size_t i = 0; i < m.grads.size(); ++i) {
          std::vector<Number> expected, scale;
          for (const Number value : before.grads[i].values()) {
            expected.push_back(value * factor);
            scale.push_back(std::fabs(value) * factor);
          }
          CHECK(compare(m.grads[i], expected, bound, scale, terms) == "");
          CHECK(m.grads[i].strayed(before.grads[i].bytes()) == 0);
        }
      }
  // Exact: the norm of 3 and 4 is 5. More than a program has.
  HostTensor a = HostTensor::of(DType::f32, {}, {3}), b = HostTensor::of(DType::f32, {1}, {4}),
             total(DType::f32, {1}), large(DType::f32, {300000});
  must_call("clip_grad_norm", {List{&a, &b}, 10.0, 2.0, &total});
  CHECK(total.get(0) == 5);
  CHECK(a.get(0) == 3);
  large.fill([](I) { return 0.5L; });
  must_call("clip_grad_norm", {List{&large}, 1e9, 1.0, &total});
  CHECK(total.get(0) == 150000);
  must_call("clip_grad_norm", {List{}, 1.0, 2.0, &total});
  CHECK(total.get(0) == 0);
}

TEST_CASE("optimizer: what is refused") {
  HostTensor x(DType::f32, {3}), g(DType::f32, {3}), m(DType::f32, {3}), v(DType::f32, {3}),
      other(DType::f32, {4}), half(DType::f16, {3}), whole(DType::i32, {3}), step(DType::f32, {}),
      total(DType::f32, {2});
  const auto sgd = [&](List self, List grads, List buffers, double momentum, bool nesterov) {
    return Arguments{std::move(self),
                     std::move(grads),
                     std::move(buffers),
                     0.0,
                     momentum,
                     0.1,
                     0.0,
                     nesterov,
                     false,
                     false,
                     {},
                     {}};
  };
  must_refuse("fused_sgd", sgd({&x}, {&g, &m}, {}, 0, false),
              "fused_sgd: grads has 2 tensors, and self has 1");
  must_refuse("fused_sgd", sgd({&x}, {&other}, {}, 0, false),
              "fused_sgd: grads holds a tensor of shape [4], and its parameter is of shape [3]");
  must_refuse("fused_sgd", sgd({&x}, {&half}, {}, 0, false),
              "fused_sgd: grads holds a tensor of float16");
  must_refuse("fused_sgd", sgd({&whole}, {&whole}, {}, 0, false),
              "fused_sgd: self holds a tensor of int32");
  must_refuse("fused_sgd", sgd({&x}, {&g}, {&m}, 0, false), "momentum is 0");
  must_refuse("fused_sgd", sgd({&x}, {&g}, {}, 0, true), "fused_sgd: nesterov is set");
  must_refuse("fused_sgd", sgd({&x}, {&x}, {}, 0, false),
              "fused_sgd: grads holds tensor 0 of self");
  const auto adam = [&](List most, List steps, double beta) {
    return Arguments{List{&x},
                     List{&g},
                     List{&m},
                     List{&v},
                     std::move(most),
                     std::move(steps),
                     0.1,
                     beta,
                     0.999,
                     0.0,
                     1e-8,
                     false,
                     false,
                     {},
                     {}};
  };
  must_refuse("fused_adam", adam({}, {&step}, 1), "fused_adam: beta1 is 1");
  must_refuse("fused_adam", adam({&other}, {&step}, 0.9),
              "fused_adam: max_exp_avg_sqs has 1 tensors");
  must_refuse("fused_adam", adam({}, {}, 0.9), "fused_adam: state_steps has 0 tensors");
  must_refuse("fused_adamw", adam({}, {&x}, 0.9),
              "fused_adamw: state_steps holds a tensor of float32 and shape [3]");
  must_refuse("clip_grad_norm", {List{&x}, 1.0, 0.0, &step}, "clip_grad_norm: norm_type is 0");
  must_refuse("clip_grad_norm", {List{&x}, -1.0, 2.0, &step}, "clip_grad_norm: max_norm is -1");
  must_refuse("clip_grad_norm", {List{&x}, 1.0, 2.0, &total},
              "clip_grad_norm: total_norm is of shape [2]");
}
