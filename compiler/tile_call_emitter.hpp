// A kernel on its way to tile calls: one call for each operation, on buffers of the chip's own memory. Scalars are plain
// C++. What a call does is told by the twin, include/flagos/tile_twin.hpp.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compiler/element_printer.hpp"

namespace flagos::compiler {

class TileCallEmitter : private ElementPrinter {
 public:
  TileCallEmitter(const Module& module, const Kernel& kernel, const Target& target, const SimtDialect& dialect,
                  std::set<std::string>& helpers, SimtNeeds& needs);
  // The kernel's body; the bytes of its buffers and whether it may fail.
  std::string run();
  std::uint64_t bytes() const { return bytes_; }
  bool fails() const { return fails_; }

 private:
  struct Value {
    std::string name;
    std::uint64_t begin = 0, end = 0;  // of its buffer
    bool owns = false;                 // a buffer, to be given back behind the last use
    int level = 0;                     // of regions around it
    int uses = 0;
  };

  void prepare(const Block& block);
  ValueId root(ValueId value) const;
  const std::string& name(ValueId value) const { return values_[root(value)].name; }
  const std::string& name(const Op& op, std::size_t i) const { return name(op.operands[i]); }
  template <typename First, typename... Rest>
  void line(fmt::format_string<First, Rest...> format, First&& first, Rest&&... rest) {
    text_ += fmt::format(format, std::forward<First>(first), std::forward<Rest>(rest)...) + "\n";
  }
  void line(const std::string& text) { text_ += text + "\n"; }
  std::string fresh() { return fmt::format("x{}", next_++); }

  void declare(const Op& op, ValueId value, const std::string& name);
  std::string result(const Op& op, std::size_t i = 0);
  void scalar(ValueId value, const std::string& text);
  std::uint64_t place(const Op& op, std::uint64_t bytes);
  void used(ValueId value);
  void used(const Op& op);
  void drop(Value& value);
  void enter() { ++level_; }
  void leave();
  void bind(ValueId value, ValueId to);
  void assign(const Op& op, const std::vector<ValueId>& targets, const std::vector<ValueId>& sources);

  void emit_block(const Block& block);
  void emit_op(const Op& op);
  bool emit_control_op(const Op& op);
  void emit_for(const Op& op);
  void emit_if(const Op& op);
  void emit_while(const Op& op);
  bool emit_value_op(const Op& op);
  void emit_elementwise(const Op& op);
  void emit_shape(const Op& op);
  bool emit_memory_op(const Op& op);
  void emit_view(const Op& op);
  void emit_indexed(const Op& op);
  std::string indices(const Op& op) const;
  bool emit_collective_op(const Op& op);
  void emit_fold(const Op& op);
  void emit_region_fold(const Op& op);
  std::vector<std::string> emit_region(const Block& block, const std::vector<std::string>& arguments);

  std::vector<ValueId> alias_;
  std::vector<Value> values_;
  std::map<ValueId, std::string> pointers_;  // of views
  std::map<int, std::vector<ValueId>> waiting_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> live_;
  std::string text_;
  std::uint64_t bytes_ = 0;
  unsigned next_ = 0;
  int level_ = 0;
  bool fails_ = false;
};

}  // namespace flagos::compiler
