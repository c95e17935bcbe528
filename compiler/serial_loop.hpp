// One loop nest over a tile: everything elementwise that has this space and level, in vectors along the last axis. The
// inside of each row has no checks; what is left, or lies at an edge of a view, follows lane by lane. Where lanes below a
// bound are chosen (`range < columns`), the part of the row in which that is all of them goes first, without the choice.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "compiler/serial_emit.hpp"

namespace flagos::compiler::serial {

// A value at a place of the loop, as a key.
std::string key_of(ValueId value, const IndexMap& map);

class Loop {
 public:
  Loop(Emitter& emitter, const Space& space, std::vector<const Op*> ops)
      : emitter_(emitter), space_(space), ops_(std::move(ops)) {
    lanes_ = emitter.lanes_of(ops_, space);
  }
  void emit();
  void emit_copy(ValueId value, const std::string& target);

 private:
  // A block of a view in the loop: where lane 0 of row 0 is, and which lanes are inside.
  struct Access {
    std::string pointer, range, step;  // step: "" where lanes are neighbours
    bool stored = false;
  };

  // A reduction: what it is of, what is added up, and where the result of a row goes.
  struct Fold {
    std::string_view how, nan;
    DType dtype = DType::f32, held = DType::f32;  // sums and products of small floats are held in f32, and rounded once
    IndexMap map;
    bool rounds() const { return held != dtype; }
  };

  int last() const { return static_cast<int>(space_.size()) - 1; }
  std::int64_t extent() const { return space_.back(); }
  // Whether lanes differ. A tile of one element is one lane.
  bool varies(const IndexMap& map) const {
    return extent() == 1 || std::any_of(map.begin(), map.end(), [&](const Index& i) { return i.variable == last(); });
  }
  std::string variable(int i) const {
    return i == last() && copy_ != 0 ? fmt::format("(at{} + {})", i, copy_ * lanes_) : fmt::format("at{}", i);
  }
  std::string fresh(std::string_view prefix) { return emitter_.fresh(prefix); }
  Plan& plan() { return emitter_.plan(); }
  const Type& type(ValueId value) const { return emitter_.type(value); }
  const SerialDialect& dialect() const { return emitter_.dialect(); }
  // A vector function of the dialect, for elements of `dtype`.
  std::string vectors(std::string_view name, Area area, DType dtype) const {
    return dialect().function(name, area, dtype, lanes_);
  }
  std::string whole_range(std::string_view name) const { return dialect().function(name, DType::i64); }

  int copies_of() const;
  bool only_stores();
  bool is_single() const;
  void emit_single();
  void run(const std::function<void()>& body);
  std::string evaluate(ValueId value, const IndexMap& map);      // as a vector
  std::string evaluate_one(ValueId value, const IndexMap& map);  // as a scalar: it is one for the whole row
  std::string compute(ValueId value, const IndexMap& map, bool one);
  std::string compute_load(const Op& op, const IndexMap& map, bool one);
  std::string compute_range(const Op& op, const IndexMap& map, bool one);
  std::string read_buffer(ValueId value, const IndexMap& map, const Type& shape, bool one);
  std::string remember(std::string key, bool one, DType dtype, const std::string& expression);
  std::string offset_in_rows(const IndexMap& map, const Type& shape, std::int64_t& step);
  const Access& access(const Op& op, const IndexMap& map, bool one);
  std::string spread(DType dtype, const std::string& one);
  bool is_sure(ValueId value, const IndexMap& map);
  std::string first_of(ValueId value, const IndexMap& map);
  std::string same_of(ValueId value, const IndexMap& map);

  void emit_op(const Op& op);
  void emit_store(const Op& op);
  void emit_reduce(const Op& op);
  void fold_row(const Op& op, const Fold& fold, std::string lanes);
  void fold_rows(const Op& op, const Fold& fold, const std::string& lanes);
  std::string rounded(const Fold& fold, const std::string& x) const;
  void emit_indexed(const Op& op);
  void emit_philox(const Op& op);
  std::string in_memory(DType dtype, const std::string& lanes);
  void keep(ValueId value, const std::string& lanes);
  void put_to_buffer(const std::string& buffer, const Type& shape, const std::string& lanes);
  std::string high() const { return edge_ ? "k" : fmt::format("{}", lanes_); }

  Emitter& emitter_;
  const Space& space_;
  std::vector<const Op*> ops_;
  int lanes_ = 0;
  bool edge_ = false;
  bool sure_ = false;             // in the part in which all lanes are below the bounds
  std::set<std::string> bounds_;  // statements that make `sure` smaller
  int copy_ = 0;                  // of the body, in a loop that takes several vectors at once
  int copies_ = 1;
  bool has_edge_ = false;  // a view is touched: where its rows end is known only then
  Writer before_, before_rows_, body_, joined_, after_, after_rows_;
  std::map<std::string, std::string> row_names_;   // of what is one for a row
  std::map<std::string, std::string> lane_names_;  // of vectors
  std::map<std::string, Access> accesses_;
  std::set<const Op*> begun_;
};

}  // namespace flagos::compiler::serial
