#include "plugins/cpu/onednn.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "base/dynamic_library.hpp"
#include "base/thread.hpp"

namespace flagos::cpu {
namespace {

constexpr const char* variable = "FLAGOS_CPU_ONEDNN";
constexpr const char* usual_libraries[] = {"libdnnl.so.3", "libdnnl.so.2"};
// Code is kept for so many shapes; then all of it is forgotten.
constexpr std::size_t most_known = 1024;

// Numbers of dnnl_types.h, the same in versions 2 and 3.
constexpr int success = 0, out_of_memory = 1;
constexpr int engine_cpu = 1;
constexpr unsigned stream_in_order = 1;
constexpr int scratchpad_of_caller = 1;
constexpr int math_strict = 0;
constexpr int query_name = 8, query_scratchpad = 136;
constexpr int argument_a = 1, argument_b = 33, argument_out = 17, argument_scratchpad = 80;
constexpr unsigned runtime_sequential = 1, runtime_openmp = 2;

int type_of(flagos_dtype_t dtype) {
  switch (dtype) {
    case FLAGOS_DTYPE_FLOAT16:
      return 1;
    case FLAGOS_DTYPE_BFLOAT16:
      return 2;
    case FLAGOS_DTYPE_FLOAT32:
      return 3;
    case FLAGOS_DTYPE_INT32:
      return 4;
    default:
      return 5;  // int8
  }
}

struct Version {
  int major, minor, patch;
  const char* hash;
  unsigned cpu_runtime, gpu_runtime;
};

struct ExecutionArgument {
  int which;
  void* memory;
};

}  // namespace

// Of oneDNN's C interface, what products use. Versions 2 and 3 differ in descriptions: in 2 the caller holds them, in 3 the
// library does.
struct OnednnFunctions {
  using Handle = void*;
  int major = 0;
  int (*engine_create)(Handle*, int kind, std::size_t index) = nullptr;
  int (*engine_destroy)(Handle) = nullptr;
  int (*stream_create)(Handle*, Handle engine, unsigned flags) = nullptr;
  int (*stream_destroy)(Handle) = nullptr;
  int (*memory_create)(Handle*, const void* description, Handle engine, void* data) = nullptr;
  int (*memory_destroy)(Handle) = nullptr;
  std::size_t (*description_get_size)(const void* description) = nullptr;
  int (*attributes_create)(Handle*) = nullptr;
  int (*attributes_destroy)(Handle) = nullptr;
  int (*attributes_set_scratchpad)(Handle, int mode) = nullptr;
  int (*attributes_set_math)(Handle, int mode) = nullptr;
  int (*attributes_set_post_ops)(Handle, Handle post_ops) = nullptr;
  int (*post_ops_create)(Handle*) = nullptr;
  int (*post_ops_destroy)(Handle) = nullptr;
  int (*post_ops_append_sum)(Handle, float scale, std::int32_t zero_point, int type) = nullptr;
  int (*plan_destroy)(Handle) = nullptr;
  int (*plan_query)(Handle, int what, int index, void* out) = nullptr;
  const void* (*plan_query_description)(Handle, int what, int index) = nullptr;
  int (*primitive_create)(Handle*, Handle plan) = nullptr;
  int (*primitive_execute)(Handle, Handle stream, int count,
                           const ExecutionArgument* arguments) = nullptr;
  int (*primitive_destroy)(Handle) = nullptr;
  // 2
  int (*description_init)(void* description, int rank, const std::int64_t* extents, int type,
                          const std::int64_t* strides) = nullptr;
  int (*matmul_init)(void* operation, const void* a, const void* b, const void* bias,
                     const void* out) = nullptr;
  int (*plan_create)(Handle*, const void* operation, Handle attributes, Handle engine,
                     Handle hint) = nullptr;
  // 3
  int (*description_create)(Handle*, int rank, const std::int64_t* extents, int type,
                            const std::int64_t* strides) = nullptr;
  int (*description_destroy)(Handle) = nullptr;
  int (*matmul_plan_create)(Handle*, Handle engine, const void* a, const void* b, const void* bias,
                            const void* out, Handle attributes) = nullptr;
  // Of its OpenMP; NULL where the library has no threads.
  void (*set_threads)(int) = nullptr;
  int (*get_threads)() = nullptr;
};

namespace {

// While it lives, what the library does on this thread stays on it: workers share a product themselves. The number is the
// thread's own, so an application with OpenMP keeps its threads.
class OneThread {
 public:
  explicit OneThread(const OnednnFunctions& functions) : functions_(functions) {
    if (functions_.set_threads == nullptr) return;
    before_ = functions_.get_threads();
    functions_.set_threads(1);
  }
  ~OneThread() {
    if (functions_.set_threads != nullptr) functions_.set_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const OnednnFunctions& functions_;
  int before_ = 1;
};

// An object of the library, given back in the end.
class Owned {
 public:
  explicit Owned(int (*destroy)(void*)) : destroy_(destroy) {}
  ~Owned() {
    if (handle_ != nullptr) destroy_(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  void** out() { return &handle_; }
  void* get() const { return handle_; }

 private:
  int (*destroy_)(void*);
  void* handle_ = nullptr;
};

// Scratch memory of this thread; it keeps the largest it was asked for, as the library's own does.
void* scratch_of(std::size_t bytes) noexcept {
  thread_local std::unique_ptr<std::byte[]> memory;
  thread_local std::size_t size = 0;
  constexpr std::size_t alignment = 64;
  if (size < bytes + alignment) {
    memory.reset(new (std::nothrow) std::byte[bytes + alignment]);
    size = memory != nullptr ? bytes + alignment : 0;
  }
  void* aligned = memory.get();
  std::size_t space = size;
  return std::align(alignment, bytes, aligned, space);
}

}  // namespace

// The description of a matrix.
class OnednnDescription {
 public:
  OnednnDescription(const OnednnFunctions& functions, flagos_dtype_t dtype, std::int64_t rows,
                    std::int64_t columns, const std::int64_t (&strides)[2])
      : functions_(functions) {
    const std::int64_t extents[] = {rows, columns};
    is_valid_ = (functions.major == 2
                     ? functions.description_init(held_.data(), 2, extents, type_of(dtype), strides)
                     : functions.description_create(&made_, 2, extents, type_of(dtype), strides)) ==
                success;
  }
  ~OnednnDescription() {
    if (made_ != nullptr) functions_.description_destroy(made_);
  }
  OnednnDescription(const OnednnDescription&) = delete;
  OnednnDescription& operator=(const OnednnDescription&) = delete;
  bool is_valid() const { return is_valid_; }
  const void* get() const { return functions_.major == 2 ? held_.data() : made_; }

 private:
  const OnednnFunctions& functions_;
  alignas(16) std::array<std::byte, 2048> held_{};  // 696 bytes in 2.6
  void* made_ = nullptr;
  bool is_valid_ = false;
};

struct Matmul::State {
  State(const OnednnFunctions& functions, const MatmulShape& shape)
      : a(functions, shape.in, shape.m, shape.k, shape.a),
        b(functions, shape.in, shape.k, shape.n, shape.b),
        out(functions, shape.out, shape.m, shape.n, shape.result),
        plan(functions.plan_destroy) {}

  // One of the library's codes.
  int make_plan(const OnednnFunctions& functions, void* engine, void* attributes) {
    if (functions.major != 2)
      return functions.matmul_plan_create(plan.out(), engine, a.get(), b.get(), nullptr, out.get(),
                                          attributes);
    alignas(16) std::array<std::byte, 8192> operation{};  // 2800 bytes in 2.6
    const int code = functions.matmul_init(operation.data(), a.get(), b.get(), nullptr, out.get());
    return code != success
               ? code
               : functions.plan_create(plan.out(), operation.data(), attributes, engine, nullptr);
  }

  OnednnDescription a, b, out;
  Owned plan;
  const void* scratchpad = nullptr;  // its description, the plan's
  std::size_t scratch_bytes = 0;
};

Matmul::Matmul(const OnednnFunctions& functions, void* engine, const MatmulShape& shape)
    : functions_(functions), engine_(engine), state_(std::make_unique<State>(functions, shape)) {
  const OneThread one_thread(functions);
  if (!state_->a.is_valid() || !state_->b.is_valid() || !state_->out.is_valid()) return;
  Owned attributes(functions.attributes_destroy), sum(functions.post_ops_destroy);
  if (functions.attributes_create(attributes.out()) != success ||
      functions.attributes_set_scratchpad(attributes.get(), scratchpad_of_caller) != success ||
      functions.attributes_set_math(attributes.get(), math_strict) != success)
    return;
  if (shape.beta != 0 &&
      (functions.post_ops_create(sum.out()) != success ||
       functions.post_ops_append_sum(sum.get(), shape.beta, 0, 0) != success ||
       functions.attributes_set_post_ops(attributes.get(), sum.get()) != success))
    return;
  if (state_->make_plan(functions, engine, attributes.get()) != success) return;
  const char* name = nullptr;
  if (functions.plan_query(state_->plan.get(), query_name, 0, &name) != success ||
      std::string_view(name).find("ref") != std::string_view::npos)
    return;
  state_->scratchpad = functions.plan_query_description(state_->plan.get(), query_scratchpad, 0);
  if (state_->scratchpad != nullptr)
    state_->scratch_bytes = functions.description_get_size(state_->scratchpad);
  if (functions.primitive_create(&primitive_, state_->plan.get()) != success) primitive_ = nullptr;
}

Matmul::~Matmul() {
  if (primitive_ != nullptr) functions_.primitive_destroy(primitive_);
}

int Matmul::run(const void* a, const void* b, void* out) const noexcept {
  const OneThread one_thread(functions_);
  const auto memory = [&](Owned& owned, const void* description, const void* data) {
    return functions_.memory_create(owned.out(), description, engine_, const_cast<void*>(data));
  };
  Owned stream(functions_.stream_destroy), left(functions_.memory_destroy),
      right(functions_.memory_destroy), result(functions_.memory_destroy),
      scratch(functions_.memory_destroy);
  int code = functions_.stream_create(stream.out(), engine_, stream_in_order);
  if (code == success) code = memory(left, state_->a.get(), a);
  if (code == success) code = memory(right, state_->b.get(), b);
  if (code == success) code = memory(result, state_->out.get(), out);
  if (code == success && state_->scratch_bytes != 0) {
    void* const space = scratch_of(state_->scratch_bytes);
    code = space != nullptr ? memory(scratch, state_->scratchpad, space) : out_of_memory;
  }
  if (code != success) return code;
  const ExecutionArgument arguments[] = {{argument_a, left.get()},
                                         {argument_b, right.get()},
                                         {argument_out, result.get()},
                                         {argument_scratchpad, scratch.get()}};
  return functions_.primitive_execute(primitive_, stream.get(), state_->scratch_bytes != 0 ? 4 : 3,
                                      arguments);
}

// ---- the library ------------------------------------------------------------------------------

struct Onednn::Library {
  explicit Library(const std::string& name) : library(name) {
    const Version* (*get_version)() = nullptr;
    library.take("dnnl_version", get_version);
    const Version& version = *get_version();
    functions.major = version.major;
    if (version.major != 2 && version.major != 3)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "it is version {}.{}; 2 and 3 are known",
                  version.major, version.minor);
    take_threads(version.cpu_runtime);
    take_functions();
    if (functions.engine_create(&engine, engine_cpu, 0) != success)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "it has no engine for processors");
    multiplies_int8 = is_exact_in_int8();
  }
  ~Library() {
    if (engine != nullptr) functions.engine_destroy(engine);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void take_threads(unsigned runtime) {
    if (runtime == runtime_sequential) return;
    if (runtime != runtime_openmp || !library.has("omp_set_num_threads"))
      throw_error(
          FLAGOS_STATUS_UNSUPPORTED,
          "it was built with threads of its own that cannot be told to stay away; one built "
          "with OpenMP, or without threads, is needed");
    library.take("omp_set_num_threads", functions.set_threads);
    library.take("omp_get_max_threads", functions.get_threads);
  }
  void take_functions() {
    OnednnFunctions& f = functions;
    library.take("dnnl_engine_create", f.engine_create);
    library.take("dnnl_engine_destroy", f.engine_destroy);
    library.take("dnnl_stream_create", f.stream_create);
    library.take("dnnl_stream_destroy", f.stream_destroy);
    library.take("dnnl_memory_create", f.memory_create);
    library.take("dnnl_memory_destroy", f.memory_destroy);
    library.take("dnnl_memory_desc_get_size", f.description_get_size);
    library.take("dnnl_primitive_attr_create", f.attributes_create);
    library.take("dnnl_primitive_attr_destroy", f.attributes_destroy);
    library.take("dnnl_primitive_attr_set_scratchpad_mode", f.attributes_set_scratchpad);
    library.take("dnnl_primitive_attr_set_fpmath_mode", f.attributes_set_math);
    library.take("dnnl_primitive_attr_set_post_ops", f.attributes_set_post_ops);
    library.take("dnnl_post_ops_create", f.post_ops_create);
    library.take("dnnl_post_ops_destroy", f.post_ops_destroy);
    library.take("dnnl_primitive_desc_destroy", f.plan_destroy);
    library.take("dnnl_primitive_desc_query", f.plan_query);
    library.take("dnnl_primitive_desc_query_md", f.plan_query_description);
    library.take("dnnl_primitive_create", f.primitive_create);
    library.take("dnnl_primitive_execute", f.primitive_execute);
    library.take("dnnl_primitive_destroy", f.primitive_destroy);
    if (f.major == 2) {
      library.take("dnnl_post_ops_append_sum_v3", f.post_ops_append_sum);
      library.take("dnnl_memory_desc_init_by_strides", f.description_init);
      library.take("dnnl_matmul_desc_init", f.matmul_init);
      library.take("dnnl_primitive_desc_create", f.plan_create);
    } else {
      library.take("dnnl_post_ops_append_sum", f.post_ops_append_sum);
      library.take("dnnl_memory_desc_create_with_strides", f.description_create);
      library.take("dnnl_memory_desc_destroy", f.description_destroy);
      library.take("dnnl_matmul_primitive_desc_create", f.matmul_plan_create);
    }
  }
  // On processors without instructions for it the library adds pairs of products in 16 bits, which overflow.
  bool is_exact_in_int8() const {
    constexpr std::int64_t side = 16, depth = 2100;
    MatmulShape shape{FLAGOS_DTYPE_INT8, FLAGOS_DTYPE_INT32, side,      side, depth,
                      {depth, 1},        {side, 1},          {side, 1}, 0};
    const Matmul matmul(functions, engine, shape);
    if (!matmul.is_there()) return false;
    const std::vector<std::int8_t> a(side * depth, 127), b(side * depth, 127);
    std::vector<std::int32_t> out(side * side);
    if (matmul.run(a.data(), b.data(), out.data()) != success) return false;
    return std::ranges::all_of(out, [](std::int32_t sum) { return sum == 127 * 127 * depth; });
  }

  DynamicLibrary library;
  OnednnFunctions functions;
  void* engine = nullptr;
  bool multiplies_int8 = false;
};

Onednn::Onednn(const Host& host) : host_(host) {}
Onednn::~Onednn() = default;

bool Onednn::is_wanted() const { return host_.get_config(variable) != "none"; }

void Onednn::open() {
  const std::string text(host_.get_config(variable));
  const SignalsBlocked blocked;
  if (!text.empty()) {
    try {
      library_ = std::make_unique<Library>(text);
    } catch (const Error& error) {
      throw_error(FLAGOS_STATUS_NOT_FOUND, "{} names '{}', which cannot be used: {}", variable,
                  text, error.what());
    }
    return;
  }
  std::string why;
  for (const char* const name : usual_libraries) {
    try {
      library_ = std::make_unique<Library>(name);
      return;
    } catch (const Error& error) {
      why += fmt::format("{}{}: {}", why.empty() ? "" : "; ", name, error.what());
    }
  }
  host_.log(FLAGOS_LOG_LEVEL_INFO,
            fmt::format("cpu: no oneDNN, so products of float16, bfloat16 and int8 are portable "
                        "kernels: {}",
                        why));
}

std::shared_ptr<const Matmul> Onednn::matmul(const MatmulShape& shape) {
  const std::lock_guard lock(mutex_);
  if (!looked_) {
    if (is_wanted()) open();
    looked_ = true;
  }
  if (library_ == nullptr) return nullptr;
  if (shape.in == FLAGOS_DTYPE_INT8 && !library_->multiplies_int8) return nullptr;
  if (const auto found = known_.find(shape); found != known_.end()) return found->second;
  if (known_.size() >= most_known) known_.clear();
  auto made = std::make_shared<const Matmul>(library_->functions, library_->engine, shape);
  if (!made->is_there()) made = nullptr;
  known_.emplace(shape, made);
  return made;
}

Failure Onednn::failure(const char* name, int code) noexcept {
  std::array<char, 128> text{};
  fmt::format_to_n(text.data(), text.size() - 1, "{}: oneDNN gave up{}: status {}", name,
                   code == out_of_memory ? ", out of memory" : "", code);
  return make_failure(
      code == out_of_memory ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_EXECUTION_FAILED,
      text.data());
}

}  // namespace flagos::cpu
