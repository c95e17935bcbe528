#include "bench/onednn_rows.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"

namespace flagos::bench {
namespace {

// Numbers of dnnl_types.h.
constexpr int engine_cpu = 1, forward_inference = 96, type_f32 = 3, softmax_accurate = 0x30000;
constexpr unsigned in_order = 1;
constexpr int argument_x = 1, argument_y = 17, argument_scale = 51, argument_shift = 52;

struct Version {
  int major, minor, patch;
  const char* hash;
  unsigned cpu_runtime, gpu_runtime;
};

void check(int status, const char* what) {
  if (status != 0)
    throw std::runtime_error(std::string(what) + ": oneDNN gave status " + std::to_string(status));
}

// Versions 2 and 3 differ in descriptions: in 2 the caller holds them, in 3 the library does.
class Library {
 public:
  static Library& get() {
    static Library library;
    return library;
  }

  // ---- descriptions ----
  const void* describe(const std::vector<std::int64_t>& extents) {
    std::vector<std::int64_t> strides(extents.size(), 1);
    for (std::size_t i = extents.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * extents[i + 1];
    const int rank = static_cast<int>(extents.size());
    void* made = nullptr;
    if (version_->major == 2) {
      made = room();
      check(call<int(void*, int, const std::int64_t*, int, const std::int64_t*)>(
                "dnnl_memory_desc_init_by_strides")(made, rank, extents.data(), type_f32,
                                                    strides.data()),
            "a description");
    } else {
      check(call<int(void**, int, const std::int64_t*, int, const std::int64_t*)>(
                "dnnl_memory_desc_create_with_strides")(&made, rank, extents.data(), type_f32,
                                                        strides.data()),
            "a description");
    }
    return made;
  }
  void* memory(const void* description, float* data) {
    void* made = nullptr;
    check(call<int(void**, const void*, void*, void*)>("dnnl_memory_create")(&made, description,
                                                                             engine_, data),
          "memory");
    return made;
  }

  // ---- primitives ----
  void* softmax(const void* rows) {
    void* plan = nullptr;
    if (version_->major == 2) {
      void* const operation = room();
      check(call<int(void*, int, int, const void*, const void*, int)>(
                "dnnl_softmax_v2_forward_desc_init")(operation, forward_inference, softmax_accurate,
                                                     rows, rows, 1),
            "softmax");
      plan = plan_of(operation);
    } else {
      check(call<int(void**, void*, int, int, const void*, const void*, int, const void*)>(
                "dnnl_softmax_forward_primitive_desc_create")(
                &plan, engine_, forward_inference, softmax_accurate, rows, rows, 1, nullptr),
            "softmax");
    }
    return primitive(plan);
  }
  void* layernorm(const void* rows, const void* numbers, float eps) {
    void* plan = nullptr;
    if (version_->major == 2) {
      void* const operation = room();
      constexpr unsigned scale_and_shift = 0x8 | 0x10;
      check(call<int(void*, int, const void*, const void*, float, unsigned)>(
                "dnnl_layer_normalization_forward_desc_init")(operation, forward_inference, rows,
                                                              numbers, eps, scale_and_shift),
            "layernorm");
      plan = plan_of(operation);
    } else {
      constexpr unsigned scale_and_shift = 0x2 | 0x4;
      check(call<int(void**, void*, int, const void*, const void*, const void*, float, unsigned,
                     const void*)>("dnnl_layer_normalization_forward_primitive_desc_create")(
                &plan, engine_, forward_inference, rows, rows, numbers, eps, scale_and_shift,
                nullptr),
            "layernorm");
    }
    return primitive(plan);
  }
  void run(void* primitive, int count, const void* arguments) {
    execute_(primitive, stream_, count, arguments);
  }
  std::string version() const {
    return std::to_string(version_->major) + "." + std::to_string(version_->minor);
  }

 private:
  Library() : library_(open()) {
    version_ = call<const Version*()>("dnnl_version")();
    if (version_->major != 2 && version_->major != 3)
      throw std::runtime_error("oneDNN is version " + version() + "; 2 and 3 are known");
    // The loops beside it run on one thread, too.
    if (library_.has("omp_set_num_threads")) call<void(int)>("omp_set_num_threads")(1);
    check(call<int(void**, int, std::size_t)>("dnnl_engine_create")(&engine_, engine_cpu, 0),
          "an engine");
    check(call<int(void**, void*, unsigned)>("dnnl_stream_create")(&stream_, engine_, in_order),
          "a stream");
    execute_ = call<int(void*, void*, int, const void*)>("dnnl_primitive_execute");
  }
  static DynamicLibrary open() {
    std::string why;
    for (const char* const name : {"libdnnl.so.3", "libdnnl.so.2"}) {
      try {
        return DynamicLibrary(name);
      } catch (const Error& error) {
        why += std::string(why.empty() ? "" : "; ") + error.what();
      }
    }
    throw std::runtime_error("no oneDNN: " + why);
  }
  template <typename F>
  F* call(const char* name) const {
    F* function = nullptr;
    library_.take(name, function);
    return function;
  }
  // For what version 2 lets the caller hold; the largest of it takes some 5 KiB.
  void* room() {
    rooms_.push_back(std::make_unique<std::array<std::max_align_t, 1024>>());
    return rooms_.back()->data();
  }
  void* plan_of(const void* operation) {
    void* plan = nullptr;
    check(call<int(void**, const void*, const void*, void*, const void*)>(
              "dnnl_primitive_desc_create")(&plan, operation, nullptr, engine_, nullptr),
          "a plan");
    return plan;
  }
  void* primitive(void* plan) {
    void* made = nullptr;
    check(call<int(void**, const void*)>("dnnl_primitive_create")(&made, plan), "a primitive");
    return made;
  }

  DynamicLibrary library_;
  const Version* version_ = nullptr;
  void* engine_ = nullptr;
  void* stream_ = nullptr;
  int (*execute_)(void*, void*, int, const void*) = nullptr;
  std::vector<std::unique_ptr<std::array<std::max_align_t, 1024>>> rooms_;
};

}  // namespace

OnednnRows OnednnRows::softmax(std::int64_t rows, std::int64_t columns, float* x, float* y) {
  Library& library = Library::get();
  const void* const shape = library.describe({rows, columns});
  OnednnRows made;
  made.primitive_ = library.softmax(shape);
  made.arguments_ = {{argument_x, library.memory(shape, x)},
                     {argument_y, library.memory(shape, y)}};
  return made;
}

OnednnRows OnednnRows::layernorm(std::int64_t rows, std::int64_t columns, float* x, float* w,
                                 float* b, float* y, float eps) {
  Library& library = Library::get();
  const void* const shape = library.describe({rows, columns});
  const void* const row = library.describe({columns});
  OnednnRows made;
  made.primitive_ = library.layernorm(shape, library.describe({rows}), eps);
  made.arguments_ = {{argument_x, library.memory(shape, x)},
                     {argument_y, library.memory(shape, y)},
                     {argument_scale, library.memory(row, w)},
                     {argument_shift, library.memory(row, b)}};
  return made;
}

void OnednnRows::run() const {
  Library::get().run(primitive_, static_cast<int>(arguments_.size()), arguments_.data());
}

std::string OnednnRows::version() { return Library::get().version(); }

}  // namespace flagos::bench
