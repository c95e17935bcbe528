// An operator: a row of the table. What it is called with, which types it takes, how exact it is, and how it runs.
#pragma once

#include <flagos_ops.h>

#include <functional>
#include <string>

#include "ops/call.hpp"
#include "ops/dtype.hpp"
#include "ops/schema.hpp"

namespace flagos::ops {

// How far a result may be from the exact one: ulp units in the last place of the output's type, and `sum` times
// u log2(K) times the sum of the absolute values of what is added, K terms in all. Both 0: the same bits.
struct Bound {
  double ulp = 0;
  double sum = 0;
  std::string text() const;
};
constexpr Bound exact{};
constexpr Bound ulp(double units) { return {units, 0}; }
constexpr Bound summed(double factor, double units = 1) { return {units, factor}; }

// Takes the text of a kernel that is worth compiling ahead of time.
using KernelSink = std::function<void(const std::string& text)>;

class Operator {
 public:
  Operator(const char* schema_text, DTypes dtypes, Bound bound);
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  const std::string& name() const { return schema_.name; }
  const char* schema_text() const { return schema_text_; }
  const Schema& schema() const { return schema_; }
  const char* family() const { return family_; }
  std::uint32_t index() const { return index_; }
  DTypes dtypes() const { return dtypes_; }
  const std::string& dtypes_text() const { return dtypes_text_; }
  Bound bound() const { return bound_; }
  const std::string& bound_text() const { return bound_text_; }

  // Checks the arguments and queues the work.
  virtual void run(Call& call) const = 0;
  // The kernels for a processor that are worth compiling ahead of time.
  virtual void enumerate(const KernelSink&) const {}

 private:
  friend class Table;
  const char* schema_text_;
  Schema schema_;
  const char* family_ = "";
  std::uint32_t index_ = 0;
  DTypes dtypes_;
  Bound bound_;
  std::string dtypes_text_, bound_text_;
};

// An operator that is a function.
class PlainOperator : public Operator {
 public:
  using Run = void (*)(Call&);
  PlainOperator(const char* schema_text, DTypes dtypes, Bound bound, Run function)
      : Operator(schema_text, dtypes, bound), run_(function) {}
  void run(Call& call) const override { run_(call); }

 private:
  Run run_;
};

}  // namespace flagos::ops
