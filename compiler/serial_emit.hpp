// Writes one kernel for the serial schedule, in the C that its dialects share. The parts: control flow and segments (serial_block.cpp), fused loops
// (serial_loop.cpp), calls (serial_call.cpp), single values and memory (serial_scalar.cpp).
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "compiler/lower.hpp"
#include "compiler/serial_dialect.hpp"
#include "compiler/serial_plan.hpp"

namespace flagos::compiler::serial {

// A view in the printed text: names or numbers.
struct View {
  std::string pointer;
  std::vector<std::string> extents, strides;
  bool unit = false;  // the last stride is 1 for sure
};

// Lines of text, indented, with #line where the author's place changes.
class Writer {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    put(fmt::format(format, std::forward<Args>(args)...));
  }
  void put(std::string_view text) {
    text_.append(static_cast<std::size_t>(depth_) * 2, ' ');
    text_ += text;
    text_ += '\n';
  }
  void open(std::string_view text) {
    put(text);
    ++depth_;
  }
  void close(std::string_view text = "}") {
    --depth_;
    put(text);
  }
  void at(const Module& module, const Op& op);
  void append(const std::string& text) { text_ += text; }
  std::string take() { return std::move(text_); }
  const std::string& text() const { return text_; }
  int depth() const { return depth_; }
  void set_depth(int depth) { depth_ = depth; }

 private:
  std::string text_;
  int depth_ = 0;
  std::int32_t file_ = -1;
  std::uint32_t file_line_ = 0;
};

// Places in a program's scratch; what a block has taken is given back at its end.
class Arena {
 public:
  std::size_t take(std::size_t bytes);
  std::size_t mark() const { return top_; }
  void release(std::size_t mark) { top_ = mark; }
  std::size_t peak() const { return peak_; }

 private:
  // Vectors may read a little before and behind a tile.
  static constexpr std::size_t slack = 256;
  std::size_t top_ = slack;
  std::size_t peak_ = slack;
};

class Emitter {
 public:
  Emitter(const Module& module, const Kernel& kernel, const Target& target, const SerialDialect& dialect);
  // The body of the kernel's function.
  std::string emit();
  std::size_t scratch_bytes() const { return arena_.peak(); }
  bool fails() const { return fails_; }
  bool has_dot() const { return has_dot_; }
  Bf16 bf16() const { return bf16_; }

  // ---- shared by the parts ----
  const Type& type(ValueId value) const { return kernel_.values[value]; }
  const std::string& name(ValueId value) const { return names_[value]; }
  const std::string& buffer(ValueId value) const { return buffers_[value]; }
  const View& view(ValueId value) const { return views_.at(value); }
  const Module& module() const { return module_; }
  const Kernel& kernel() const { return kernel_; }
  const Target& target() const { return target_; }
  const SerialDialect& dialect() const { return dialect_; }
  Plan& plan() { return plan_; }
  Writer& out() { return out_; }
  void set_name(ValueId value, std::string name) { names_[value] = std::move(name); }
  // The value's place in scratch, declared now unless it has one.
  const std::string& declare_buffer(ValueId value);
  // A new place: `T* const name = ...`.
  void declare(const std::string& name, const std::string& type, std::int64_t elements, std::size_t item_bytes,
               bool constant = true);
  std::string fresh(std::string_view prefix) { return fmt::format("{}_{}", prefix, next_++); }
  // `area` and the element's type of a function that takes one element.
  std::string get(Area area, DType dtype, const std::string& pointer) const {
    return fmt::format("{}({})", dialect_.function("get", area, dtype, 1), pointer);
  }
  std::string put(Area area, DType dtype, const std::string& pointer, const std::string& x) const {
    return fmt::format("{}({}, {})", dialect_.function("put", area, dtype, 1), pointer, x);
  }
  [[noreturn]] void refuse(const Op& op, const std::string& reason) const;
  int lanes_of(const std::vector<const Op*>& ops, const Space& space) const;

  // ---- parts ----
  void emit_block(const Block& block);                   // all but its yield
  void emit_segment(const std::vector<const Op*>& ops);  // serial_block.cpp
  void emit_control(const Op& op);
  void emit_scalar(const Op& op);                                         // serial_scalar.cpp
  void emit_loop(const Space& space, const std::vector<const Op*>& ops);  // serial_loop.cpp
  void emit_copy(ValueId value, const std::string& target);               // of a tile, to a place of its type
  void emit_call(const Op& op);                                           // serial_call.cpp
  void emit_product(const Op& op);                                        // serial_product.cpp
  Factor factor(ValueId value, const std::string& batch);
  void emit_fold_with_region(const Op& op);
  void emit_scan(const Op& op, const std::string& out);

  // Of values of the current segment: when they are there, and since when in a loop over their own space.
  struct Ready {
    std::size_t level = 0;
    const Op* fused = nullptr;
  };
  std::map<ValueId, Ready>& ready() { return ready_; }

 private:
  std::size_t need(const Op& op, const Space& space) const;
  void emit_for(const Op& op);
  void emit_if(const Op& op);
  void emit_while(const Op& op);
  void emit_assert(const Op& op);
  void emit_print(const Op& op);
  struct Carried;
  std::vector<Carried> begin_carried(const Op& op, std::size_t first, const Block& body, std::size_t skipped);
  void end_carried(std::vector<Carried>& carried, const Op& yield);
  void finish_carried(const Op& op, const std::vector<Carried>& carried);
  bool is_free_product(ValueId value, const Block& body) const;

  const Module& module_;
  const Kernel& kernel_;
  const Target& target_;
  const SerialDialect& dialect_;
  Plan plan_;
  Writer out_;
  Arena arena_;
  std::vector<std::string> names_;    // of scalars
  std::vector<std::string> buffers_;  // of tiles that have a place
  std::map<ValueId, View> views_;
  std::map<ValueId, Ready> ready_;
  unsigned next_ = 0;
  bool fails_ = false;
  bool has_dot_ = false;
  Bf16 bf16_ = Bf16::plain;
};

}  // namespace flagos::compiler::serial
