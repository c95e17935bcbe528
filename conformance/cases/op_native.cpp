// Native operators: what a plugin says it computes, and whole numbers through what it takes.
#include <flagos.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr const char* mm_schema = "mm(Tensor input, Tensor mat2, Tensor! out)";

std::uint32_t operator_count(Context& t) {
  std::uint32_t count = 0;
  t.ok(flagos_operator_get_count(t.device(), &count), "count the operators");
  return count;
}

flagos_operator_info_t operator_info(Context& t, std::uint32_t index) {
  flagos_operator_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_operator_get_info(t.device(), index, &info), "operator " + std::to_string(index));
  return info;
}

// The index of the plain product of two matrices; the case is NOT_SUPPORTED where it is not offered.
std::uint32_t find_mm(Context& t) {
  const std::uint32_t count = operator_count(t);
  for (std::uint32_t i = 0; i < count; ++i)
    if (std::strcmp(operator_info(t, i).schema, mm_schema) == 0) return i;
  t.not_supported("the device offers no operator mm");
}

// A matrix on the device, of small whole numbers other than 0, so that every sum is exact and no term can be missed.
template <typename T>
class Matrix {
 public:
  Matrix(Context& t, std::int64_t rows, std::int64_t columns, bool columns_first = false)
      : buffer_(t, static_cast<std::uint64_t>(rows * columns) * sizeof(T)) {
    shape_[0] = rows;
    shape_[1] = columns;
    strides_[0] = columns_first ? 1 : columns;
    strides_[1] = columns_first ? rows : 1;
    values_.resize(static_cast<std::size_t>(rows * columns));
    for (T& value : values_) {
      const auto size = static_cast<T>(1 + t.random_below(7));
      value = t.random_below(2) == 0 ? size : -size;
    }
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  void send() {
    buffer_.write(
        {reinterpret_cast<const std::uint8_t*>(values_.data()), values_.size() * sizeof(T)});
  }
  T& at(std::int64_t row, std::int64_t column) {
    return values_[static_cast<std::size_t>(row * strides_[0] + column * strides_[1])];
  }
  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> all(values_.size() * sizeof(T));
    std::memcpy(all.data(), values_.data(), all.size());
    return all;
  }
  std::vector<std::uint8_t> read() { return buffer_.read(); }
  std::int64_t extent(int axis) const { return shape_[axis]; }

  const flagos_tensor_t& tensor() {
    tensor_ = {};
    tensor_.struct_size = sizeof tensor_;
    tensor_.dtype = sizeof(T) == 4 ? FLAGOS_DTYPE_FLOAT32 : FLAGOS_DTYPE_FLOAT64;
    tensor_.address = buffer_.address();
    tensor_.rank = 2;
    tensor_.shape = shape_;
    tensor_.strides = strides_;
    return tensor_;
  }

 private:
  Buffer buffer_;
  std::int64_t shape_[2]{};
  std::int64_t strides_[2]{};
  std::vector<T> values_;
  flagos_tensor_t tensor_{};
};

flagos_operator_argument_t argument(const flagos_tensor_t& tensor) {
  return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, static_cast<std::uint64_t>(host(&tensor))};
}

// One call of an operator: what it is given, what the device says to it, and its run.
class OperatorCall {
 public:
  OperatorCall(Context& t, std::uint32_t index, std::vector<flagos_operator_argument_t> arguments)
      : t_(t), arguments_(std::move(arguments)) {
    desc_.struct_size = sizeof desc_;
    desc_.index = index;
    desc_.arguments = arguments_.data();
    desc_.argument_count = static_cast<std::uint32_t>(arguments_.size());
  }
  flagos_operator_support_t query() {
    flagos_operator_support_t support{};
    support.struct_size = sizeof support;
    t_.ok(flagos_operator_query(t_.device(), &desc_, &support), "ask whether it is taken");
    constexpr std::uint32_t known =
        FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
    t_.equal(support.flags & ~known, 0, "flags that no header has");
    if ((support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) == 0) {
      t_.equal(support.flags, 0, "flags of a call that is not taken");
      t_.equal(support.workspace_bytes, 0, "workspace of a call that is not taken");
    }
    return support;
  }
  flagos_status_t run(flagos_stream_t* stream, const flagos_operator_support_t& support) {
    if (support.workspace_bytes != 0) {
      workspace_ = std::make_unique<Buffer>(t_, support.workspace_bytes);
      desc_.workspace = workspace_->address();
      desc_.workspace_bytes = support.workspace_bytes;
    }
    return flagos_operator_run(stream, &desc_);
  }

 private:
  Context& t_;
  std::vector<flagos_operator_argument_t> arguments_;
  flagos_operator_desc_t desc_{};
  std::unique_ptr<Buffer> workspace_;
};

template <typename T>
void multiply_on_host(Matrix<T>& a, Matrix<T>& b, Matrix<T>& out) {
  for (std::int64_t i = 0; i < out.extent(0); ++i) {
    for (std::int64_t j = 0; j < out.extent(1); ++j) {
      T sum = 0;
      for (std::int64_t k = 0; k < a.extent(1); ++k) sum += a.at(i, k) * b.at(k, j);
      out.at(i, j) = sum;
    }
  }
}

bool is_taken(const flagos_operator_support_t& support) {
  return (support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) != 0;
}

// Whether the device took the call.
template <typename T>
bool check_product(Context& t, std::uint32_t mm, std::int64_t m, std::int64_t k, std::int64_t n,
                   bool a_columns, bool b_columns) {
  t.subcase(std::string(sizeof(T) == 4 ? "f32 " : "f64 ") + std::to_string(m) + "x" +
            std::to_string(k) + "x" + std::to_string(n) + (a_columns ? " a by columns" : "") +
            (b_columns ? " b by columns" : ""));
  Matrix<T> a(t, m, k, a_columns), b(t, k, n, b_columns), out(t, m, n);
  a.send();
  b.send();
  out.send();
  OperatorCall call(t, mm, {argument(a.tensor()), argument(b.tensor()), argument(out.tensor())});
  const auto support = call.query();
  Stream stream(t);
  const auto before = out.bytes();
  const flagos_status_t status = call.run(stream, support);
  if (!is_taken(support)) {
    t.status(status, FLAGOS_STATUS_UNSUPPORTED, "run what is not taken");
    stream.synchronize();
    t.check(out.read() == before, "nothing was queued");
    return false;
  }
  t.ok(status, "run it");
  stream.synchronize();
  multiply_on_host(a, b, out);
  t.equal_bytes(out.read(), out.bytes(), "the product");
  return true;
}

}  // namespace

FLAGOS_CASE("op.native.list", {.clause = "flagos_operator_get_info",
                               .level = Level::optional,
                               .feature = "operators",
                               .query = true}) {
  const std::uint32_t count = operator_count(t);
  t.check(count > 0, "the feature is there, so there is an operator");
  std::set<std::string> schemas;
  for (std::uint32_t i = 0; i < count; ++i) {
    t.subcase("index " + std::to_string(i));
    const auto info = operator_info(t, i);
    t.check(info.name != nullptr && info.name[0] != '\0', "it has a name");
    t.check(info.schema != nullptr, "it has a schema");
    t.check(std::string(info.schema).rfind(std::string(info.name) + "(", 0) == 0,
            "the schema begins with the name: " + std::string(info.schema));
    t.check(schemas.insert(info.schema).second,
            "no schema stands there twice: " + std::string(info.schema));
    t.check(std::strcmp(operator_info(t, i).schema, info.schema) == 0,
            "it is the same the next time");
  }
  t.subcase("behind the last one");
  flagos_operator_info_t info{};
  info.struct_size = sizeof info;
  t.status(flagos_operator_get_info(t.device(), count, &info), FLAGOS_STATUS_NOT_FOUND,
           "index is the count");
}

FLAGOS_CASE("op.native.products", {.clause = "flagos_operator_run: mm of whole numbers is exact",
                                   .level = Level::optional,
                                   .feature = "operators"}) {
  const std::uint32_t mm = find_mm(t);
  std::uint32_t taken = 0;
  for (const std::int64_t k : {1, 2, 15, 16, 17, 31, 33, 64, 100}) {
    taken += check_product<float>(t, mm, 5, k, 7, false, false) ? 1 : 0;
    taken += check_product<double>(t, mm, 5, k, 7, false, false) ? 1 : 0;
  }
  for (const auto& [m, n] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {1, 9}, {9, 1}, {33, 65}, {64, 64}}) {
    for (const int layout : {0, 1, 2, 3}) {
      taken += check_product<float>(t, mm, m, 17, n, (layout & 1) != 0, (layout & 2) != 0) ? 1 : 0;
      taken += check_product<double>(t, mm, m, 17, n, (layout & 1) != 0, (layout & 2) != 0) ? 1 : 0;
    }
  }
  if (taken == 0) t.not_supported("the device takes none of these products");
}

FLAGOS_CASE("op.native.order", {.clause = "flagos_operator_run: ordered in its stream",
                                .level = Level::optional,
                                .feature = "operators"}) {
  const std::uint32_t mm = find_mm(t);
  // out = a b, then out b, and so on: every product reads what the one before it wrote.
  Matrix<float> a(t, 4, 4), b(t, 4, 4), first(t, 4, 4), second(t, 4, 4);
  for (std::int64_t i = 0; i < 4; ++i)
    for (std::int64_t j = 0; j < 4; ++j)
      b.at(i, j) = i == (j + 1) % 4 ? 1.0f : 0.0f;  // moves columns
  a.send();
  b.send();
  OperatorCall one(t, mm, {argument(a.tensor()), argument(b.tensor()), argument(first.tensor())});
  OperatorCall two(t, mm,
                   {argument(first.tensor()), argument(b.tensor()), argument(second.tensor())});
  const auto support = one.query();
  if (!is_taken(support)) t.not_supported("the device does not take the product");
  Stream stream(t), other(t);
  t.subcase("behind a copy, before a copy");
  std::vector<float> zero(16, 0.0f), seen(16);
  copy(t, stream, first.tensor().address, host(zero.data()), 64);
  t.ok(one.run(stream, support), "the first product");
  t.ok(two.run(stream, two.query()), "the product of its result");
  copy(t, stream, host(seen.data()), second.tensor().address, 64);
  stream.synchronize();
  multiply_on_host(a, b, first);
  multiply_on_host(first, b, second);
  t.equal_bytes({reinterpret_cast<const std::uint8_t*>(seen.data()), 64}, second.bytes(),
                "the second product");
  t.subcase("the stream that was named");
  copy(t, stream, second.tensor().address, host(zero.data()), 64);
  stream.synchronize();
  require_concurrent(t);
  Blocker held(t, other);
  t.ok(two.run(other, support), "on a stream that is held");
  t.ok(flagos_stream_synchronize(stream, kPatienceNs), "the other stream is idle");
  t.check(second.read() == std::vector<std::uint8_t>(64, 0),
          "nothing is written while the stream is held");
  held.release();
  t.ok(flagos_stream_synchronize(other, kPatienceNs), "the stream goes on");
  t.equal_bytes(second.read(), second.bytes(), "the product behind it");
}

FLAGOS_CASE("op.native.graph",
            {.clause = "FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE: also in a capture",
             .level = Level::optional,
             .feature = "operators"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  const std::uint32_t mm = find_mm(t);
  Matrix<float> a(t, 6, 17), b(t, 17, 5), out(t, 6, 5);
  a.send();
  b.send();
  out.send();
  OperatorCall call(t, mm, {argument(a.tensor()), argument(b.tensor()), argument(out.tensor())});
  const auto support = call.query();
  if (!is_taken(support)) t.not_supported("the device does not take the product");
  Stream stream(t);
  Buffer filled(t, 64);
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  t.ok(flagos_stream_begin_capture(stream), "begin a capture");
  const flagos_status_t status = call.run(stream, support);
  fill(t, stream, filled.address(), std::uint8_t{3}, 64);
  t.ok(flagos_stream_end_capture(stream, &graph), "end it");
  const flagos_status_t instantiated = flagos_graph_instantiate(graph, &exec);
  flagos_graph_destroy(graph);
  t.ok(instantiated, "instantiate");
  const bool deferrable = (support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE) != 0;
  flagos_profiler_t* profiler = nullptr;
  const bool profiles = t.has(FLAGOS_FEATURE_PROFILING);
  flagos_profiler_desc_t profiler_desc{};
  profiler_desc.struct_size = sizeof profiler_desc;
  if (profiles) t.ok(flagos_profiler_create(t.device(), &profiler_desc, &profiler), "a profiler");
  for (int i = 0; i < 2; ++i) {
    t.ok(flagos_graph_exec_launch(exec, stream), "launch the graph");
    synchronize(t, stream);
  }
  std::vector<flagos_record_t> records(64);
  std::uint64_t moved = 0, dropped = 0;
  if (profiles) {
    // A record may come a little after its wait.
    for (int i = 0; i < 500 && moved < 6; ++i) {
      std::uint64_t some = 0;
      t.ok(flagos_profiler_drain(profiler, records.size() - moved, records.data() + moved, &some,
                                 &dropped),
           "a drain");
      moved += some;
      if (some == 0) usleep(10'000);
    }
    flagos_profiler_destroy(profiler);
  }
  flagos_graph_exec_destroy(exec);
  t.status(status, deferrable ? ok : FLAGOS_STATUS_UNSUPPORTED, "run it in a capture");
  t.check(filled.read() == std::vector<std::uint8_t>(64, 3), "the capture went on");
  if (!deferrable) return;
  multiply_on_host(a, b, out);
  t.equal_bytes(out.read(), out.bytes(), "the product");
  if (!profiles) return;
  t.subcase("profiled");
  // The product may be a kernel or anything else; launches and what core adds to them have records, too.
  std::map<std::uint64_t, std::uint32_t> nodes;  // of each correlation
  for (std::uint64_t k = 0; k < moved; ++k)
    if (records[k].kind == FLAGOS_RECORD_KIND_KERNEL || records[k].kind == FLAGOS_RECORD_KIND_FILL)
      ++nodes[records[k].correlation_id];
  t.equal(nodes.size(), 2,
          "nodes of a launch share its correlation, and launches have different ones");
  for (const auto& [id, count] : nodes) t.check(count <= 2, "no more records than nodes");
}

FLAGOS_CASE("op.native.refuses",
            {.clause = "flagos_operator_query: what is not as the schema says is not taken",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "operators"}) {
  const std::uint32_t mm = find_mm(t);
  Matrix<float> a(t, 4, 5), b(t, 5, 6), out(t, 4, 6), other(t, 6, 4);
  Matrix<double> wide(t, 4, 6);
  for (Matrix<float>* const matrix : {&a, &b, &out, &other}) matrix->send();
  const auto before = out.bytes();
  Stream stream(t);
  const auto refuses = [&](const char* what, std::vector<flagos_operator_argument_t> arguments) {
    t.subcase(what);
    OperatorCall call(t, mm, std::move(arguments));
    const auto support = call.query();
    t.check(!is_taken(support), "the call is not taken");
    t.status(call.run(stream, support), FLAGOS_STATUS_UNSUPPORTED, "run");
    stream.synchronize();
    t.check(out.read() == before, "nothing was queued");
  };
  const auto x = argument(a.tensor()), y = argument(b.tensor()), result = argument(out.tensor());
  refuses("an argument less", {x, y});
  refuses("an argument more", {x, y, result, result});
  refuses("shapes that do not go together", {x, argument(other.tensor()), result});
  refuses("a result of another shape", {x, y, argument(other.tensor())});
  refuses("a result of another type", {x, y, argument(wide.tensor())});
  refuses("a number for a matrix", {x, {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER, 0, 3}, result});
  t.subcase("an index that is not offered");
  const std::vector<flagos_operator_argument_t> arguments{x, y, result};
  flagos_operator_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.index = operator_count(t);
  desc.arguments = arguments.data();
  desc.argument_count = 3;
  t.status(flagos_operator_run(stream, &desc), FLAGOS_STATUS_NOT_FOUND, "run");
}

}  // namespace flagos::conformance
