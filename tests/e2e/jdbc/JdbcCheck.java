import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.List;
import java.util.Objects;
import java.util.TimeZone;

/**
 * What users of the JDBC driver do, against a server that holds 60 events of a site, one a minute from {@code first} on:
 * of every three events the third is a purchase with revenue 1.5.
 *
 * <p>Arguments: URL without properties, token, site, first (epoch milliseconds). Prints a line for each check; the exit
 * code is the number of those that failed.
 */
public final class JdbcCheck {
  private static final int EVENTS = 60;
  private static final Calendar UTC = Calendar.getInstance(TimeZone.getTimeZone("UTC"));

  private final String url;
  private final String token;
  private final String site;
  private final long first;
  private int failed = 0;

  private interface Check {
    void run() throws Exception;
  }

  private interface Setter {
    void set(PreparedStatement statement) throws SQLException;
  }

  private JdbcCheck(String[] args) {
    url = args[0];
    token = args[1];
    site = args[2];
    first = Long.parseLong(args[3]);
  }

  public static void main(String[] args) throws Exception {
    JdbcCheck checks = new JdbcCheck(args);
    checks.check("statements", checks::statements);
    checks.check("types of every column", checks::everyColumn);
    checks.check("metadata of tables", checks::tables);
    checks.check("metadata of the database", checks::database);
    checks.check("parameters of every type", checks::parameterTypes);
    checks.check("parameters in context", checks::contexts);
    checks.check("timestamps as parameters", checks::timestampParameters);
    checks.check("timestamps in results", checks::timestampResults);
    checks.check("dates", checks::dates);
    checks.check("values that are no parameter", checks::unfit);
    checks.check("clauses that are not ignored", checks::clauses);
    checks.check("a large result", checks::large);
    checks.check("cancel", checks::cancel);
    checks.check("updates", checks::updates);
    checks.check("connections that are refused", checks::refusedConnections);
    System.exit(checks.failed);
  }

  private void check(String name, Check check) {
    try {
      check.run();
      System.out.println("passed: " + name);
    } catch (Throwable error) {
      failed++;
      System.out.println("FAILED: " + name);
      error.printStackTrace(System.out);
    }
  }

  /** With the property that makes the driver's times independent of the JVM's zone. */
  private Connection connect() throws SQLException {
    return connect("&timeZone=UTC");
  }

  private Connection connect(String properties) throws SQLException {
    return DriverManager.getConnection(
        url + "?useEncryption=false&user=token&password=" + token + properties);
  }

  private void statements() throws Exception {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      ResultSet rows =
          statement.executeQuery(
              "SELECT event_type, count(*) AS n, sum(revenue) AS revenue FROM events WHERE tracking_id = '"
                  + site
                  + "' GROUP BY event_type ORDER BY event_type");
      List<String> found = new ArrayList<>();
      while (rows.next()) {
        found.add(rows.getString(1) + " " + rows.getLong("n") + " " + rows.getBigDecimal("revenue"));
      }
      equal(List.of("click 20 null", "pageview 20 null", "purchase 20 30.0000"), found);
      // The same statement again.
      rows = statement.executeQuery("SELECT 1 AS one, NULL AS nothing");
      equal("one", rows.getMetaData().getColumnLabel(1));
      isTrue(rows.next());
      equal(1, rows.getInt("one"));
      isTrue(!rows.wasNull());
      equal(null, rows.getString("nothing"));
      isTrue(rows.wasNull());
      isTrue(!rows.next());
    }
  }

  private void everyColumn() throws Exception {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      ResultSet row =
          statement.executeQuery(
              "SELECT * FROM events WHERE revenue IS NOT NULL AND tracking_id = '"
                  + site
                  + "' ORDER BY event_timestamp LIMIT 1");
      isTrue(row.next());
      int columns = row.getMetaData().getColumnCount();
      isTrue(columns > 25);
      int nulls = 0;
      for (int column = 1; column <= columns; column++) {
        String name = row.getMetaData().getColumnName(column);
        Object value = row.getObject(column);
        equal(value == null, row.wasNull());
        String text = row.getString(column);
        equal(value == null, text == null);
        if (value == null) {
          nulls++;
          continue;
        }
        int type = row.getMetaData().getColumnType(column);
        // With timeZone=UTC, a Date west of Greenwich is in the day before: see `dates`.
        isTrue(type == Types.DATE || value.toString().equals(text), name + ": " + value + " and " + text);
        switch (type) {
          case Types.VARCHAR -> equal(String.class, value.getClass());
          case Types.BIGINT -> equal(value, row.getLong(column));
          case Types.BOOLEAN -> equal(value, row.getBoolean(column));
          case Types.DECIMAL -> {
            equal(new BigDecimal("1.5000"), value);
            equal(value, row.getBigDecimal(column));
            equal(1.5, row.getDouble(column));
          }
          case Types.DATE -> equal(utcDate(2).toString(), text);
          case Types.TIMESTAMP -> equal(value, row.getTimestamp(column));
          default -> throw new AssertionError(name + " has type " + row.getMetaData().getColumnTypeName(column));
        }
      }
      isTrue(nulls > 0);
    }
  }

  private void tables() throws Exception {
    try (Connection connection = connect()) {
      DatabaseMetaData metadata = connection.getMetaData();
      equal(List.of("footfall"), column(metadata.getCatalogs(), "TABLE_CAT"));
      // The token is an admin's.
      equal(List.of("public", "system"), column(metadata.getSchemas(), "TABLE_SCHEM"));
      equal(List.of("TABLE", "VIEW"), column(metadata.getTableTypes(), "TABLE_TYPE"));
      equal(List.of("events"), column(metadata.getTables(null, "public", "event%", new String[] {"TABLE"}), "TABLE_NAME"));
      equal(List.of(), column(metadata.getTables(null, null, "nothing", null), "TABLE_NAME"));
      ResultSet columns = metadata.getColumns(null, null, "events", null);
      List<String> described = new ArrayList<>();
      while (columns.next()) {
        described.add(columns.getString("COLUMN_NAME") + " " + columns.getInt("DATA_TYPE"));
      }
      columns.close();
      for (String known :
          List.of(
              "tracking_id " + Types.VARCHAR,
              "client_hash " + Types.BIGINT,
              "event_timestamp " + Types.TIMESTAMP,
              "is_bot " + Types.BOOLEAN,
              "revenue " + Types.DECIMAL,
              "event_date " + Types.DATE)) {
        isTrue(described.contains(known), known + " is not in " + described);
      }
      equal(List.of(), column(metadata.getPrimaryKeys(null, null, "events"), "COLUMN_NAME"));
      equal(List.of(), column(metadata.getImportedKeys(null, null, "events"), "PKCOLUMN_NAME"));
      equal(List.of(), column(metadata.getExportedKeys(null, null, "events"), "PKCOLUMN_NAME"));
      equal(
          List.of(),
          column(metadata.getCrossReference(null, null, "events", null, null, "events"), "PKCOLUMN_NAME"));
    }
  }

  /** Tools ask for nearly everything; the driver throws NullPointerException at what the server leaves out. */
  private void database() throws Exception {
    try (Connection connection = connect()) {
      DatabaseMetaData metadata = connection.getMetaData();
      equal("Footfall", metadata.getDatabaseProductName());
      equal("\"", metadata.getIdentifierQuoteString());
      isTrue(metadata.isReadOnly());
      isTrue(!metadata.supportsTransactions());
      int asked = 0;
      List<String> wrong = new ArrayList<>();
      for (Method method : DatabaseMetaData.class.getMethods()) {
        Class<?> type = method.getReturnType();
        if (method.getParameterCount() > 0 || !(type.isPrimitive() || type == String.class)) {
          continue;
        }
        try {
          method.invoke(metadata);
          asked++;
        } catch (InvocationTargetException error) {
          // What the driver itself does not implement, it says in these ways.
          Throwable cause = error.getCause();
          if (!(cause instanceof SQLException || cause instanceof UnsupportedOperationException)) {
            wrong.add(method.getName() + ": " + cause);
          }
        }
      }
      equal(List.of(), wrong);
      isTrue(asked > 100, asked + " methods answered");
      ResultSet types = metadata.getTypeInfo();
      while (types.next()) {
        types.getString(1);
      }
      types.close();
    }
  }

  private void parameterTypes() throws Exception {
    try (Connection connection = connect()) {
      count(connection, "event_type = ?", 20, s -> s.setString(1, "click"));
      count(connection, "event_type = ?", 0, s -> s.setNull(1, Types.VARCHAR));
      count(connection, "event_type = ?", 20, s -> s.setObject(1, "click"));
      count(connection, "is_bot = ?", 60, s -> s.setBoolean(1, false));
      count(connection, "revenue > ?", 20, s -> s.setBigDecimal(1, new BigDecimal("1.49")));
      count(connection, "revenue = ?", 20, s -> s.setBigDecimal(1, new BigDecimal("1.5")));
      count(connection, "revenue = ?", 20, s -> s.setObject(1, new BigDecimal("1.50000")));
      count(connection, "revenue < ?", 20, s -> s.setDouble(1, 1.50001));
      count(connection, "revenue > ?", 20, s -> s.setInt(1, 1));
      count(connection, "revenue > ?", 0, s -> s.setLong(1, 2));
      count(connection, "CAST(event_timestamp AS TIME) >= ?", 60, s -> s.setTime(1, new Time(0), UTC));
      count(connection, "TIME '10:00:00' = ?", 60, s -> s.setTime(1, new Time(36_000_000), UTC));
      count(connection, "TIME '10:00:00' < ?", 0, s -> s.setTime(1, new Time(36_000_000), UTC));
      count(connection, "CAST(event_type AS BYTEA) = ?", 20, s -> s.setBytes(1, "click".getBytes()));
      count(connection, "CAST(7 AS SMALLINT) = ?", 60, s -> s.setShort(1, (short) 7));
      count(connection, "1.5 = ?", 60, s -> s.setFloat(1, 1.5f));
      long hash = number(connection, "SELECT max(client_hash) FROM events WHERE tracking_id = '" + site + "'");
      isTrue(Math.abs(hash) > 1L << 53);
      isTrue(count(connection, "client_hash = ?", s -> s.setLong(1, hash)) > 0);
    }
  }

  private void contexts() throws Exception {
    try (Connection connection = connect()) {
      count(connection, "CAST(? AS BIGINT) = 7", 60, s -> s.setLong(1, 7));
      count(connection, "coalesce(user_id, ?) = 'nobody'", 60, s -> s.setString(1, "nobody"));
      count(connection, "date_trunc(?, event_timestamp) <= event_timestamp", 60, s -> s.setString(1, "day"));
      for (String type : new String[] {"click", null}) {
        count(
            connection,
            "(? IS NULL OR event_type = ?)",
            type == null ? 60 : 20,
            s -> {
              s.setString(1, type);
              s.setString(2, type);
            });
      }
      count(
          connection,
          "event_type IN (?, ?)",
          40,
          s -> {
            s.setString(1, "click");
            s.setString(2, "purchase");
          });
      count(
          connection,
          "revenue BETWEEN ? AND ?",
          20,
          s -> {
            s.setDouble(1, 1);
            s.setBigDecimal(2, new BigDecimal("1.5"));
          });
      count(
          connection,
          "event_timestamp BETWEEN ? AND ?",
          11,
          s -> {
            s.setTimestamp(1, new Timestamp(minute(10)));
            s.setTimestamp(2, new Timestamp(minute(20)));
          });
      count(
          connection,
          "event_timestamp > ? - INTERVAL '1 day'",
          29,
          s -> s.setTimestamp(1, new Timestamp(minute(30) + 86_400_000)));
      count(connection, "CASE WHEN event_type = 'click' THEN ? ELSE 0 END = 7", 20, s -> s.setInt(1, 7));
      count(connection, "page_url LIKE ?", 60, s -> s.setString(1, "https://%"));
      count(connection, "upper(?) = 'A'", 60, s -> s.setString(1, "a"));
      try (PreparedStatement limited =
          connection.prepareStatement("SELECT event_id FROM events WHERE tracking_id = ? LIMIT ? OFFSET ?")) {
        limited.setString(1, site);
        limited.setInt(2, 7);
        limited.setLong(3, 2);
        equal(7, column(limited.executeQuery(), "event_id").size());
        limited.setInt(2, 100);
        equal(58, column(limited.executeQuery(), "event_id").size());
      }
      try (PreparedStatement alone = connection.prepareStatement("SELECT ? AS x")) {
        alone.setString(1, "text");
        equal(List.of("text"), column(alone.executeQuery(), "x"));
      }
    }
  }

  private void timestampParameters() throws Exception {
    Timestamp tomorrow = new Timestamp(System.currentTimeMillis() + 86_400_000);
    Timestamp fiveDaysAgo = new Timestamp(System.currentTimeMillis() - 5 * 86_400_000L);
    Timestamp half = new Timestamp(minute(30));
    try (Connection connection = connect()) {
      count(connection, "event_timestamp < ?", 60, s -> s.setTimestamp(1, tomorrow));
      count(connection, "event_timestamp > ?", 0, s -> s.setTimestamp(1, tomorrow));
      count(connection, "event_timestamp > ?", 60, s -> s.setTimestamp(1, fiveDaysAgo));
      count(connection, "event_timestamp < ?", 0, s -> s.setTimestamp(1, fiveDaysAgo));
      count(connection, "event_timestamp < ?", 30, s -> s.setTimestamp(1, half));
      count(connection, "event_timestamp = ?", 1, s -> s.setTimestamp(1, half));
      count(connection, "event_timestamp < ?", 30, s -> s.setObject(1, half));
      count(
          connection,
          "event_timestamp < CAST(CAST(? AS VARCHAR) AS TIMESTAMPTZ)",
          30,
          s -> s.setString(1, half.toInstant().toString()));
    }
    // Without the property, the calendar says the same.
    try (Connection connection = connect("")) {
      count(connection, "event_timestamp < ?", 30, s -> s.setTimestamp(1, half, UTC));
    }
  }

  private void timestampResults() throws Exception {
    LocalDateTime utc = utc(30);
    String sql = "SELECT event_timestamp, event_date FROM events WHERE tracking_id = ? ORDER BY 1 LIMIT 1 OFFSET 30";
    try (Connection connection = connect();
        PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setString(1, site);
      ResultSet row = statement.executeQuery();
      isTrue(row.next());
      // Wall-clock time in UTC, as in SQL: a Timestamp's fields, whatever instant they are in the JVM's zone.
      Timestamp expected = Timestamp.valueOf(utc);
      equal(expected, row.getTimestamp(1));
      equal(expected, row.getObject(1));
      equal(expected, row.getTimestamp(1, UTC));
      equal(expected.toString(), row.getString(1));
      equal(Date.valueOf(utc.toLocalDate()).toString(), row.getDate(1).toString());
      equal(utc.toLocalDate().toString(), row.getString(2));
      if (connection.getMetaData().getDriverVersion().compareTo("18.3") >= 0) {
        equal(utc, row.getObject(1, LocalDateTime.class));
      }
    }
  }

  /** The driver takes a Date to be midnight in the connection's time zone, which must be the JVM's. */
  private void dates() throws Exception {
    Date today = Date.valueOf(utcDate(0));
    try (Connection connection = connect("");
        Statement statement = connection.createStatement()) {
      long thatDay =
          number(
              connection,
              "SELECT count(*) FROM events WHERE event_date = '" + today + "' AND tracking_id = '" + site + "'");
      isTrue(thatDay > 0);
      count(connection, "event_date = ?", thatDay, s -> s.setDate(1, today));
      count(connection, "event_date = ?", thatDay, s -> s.setObject(1, today));
      count(connection, "event_date < ?", 0, s -> s.setDate(1, today));
      count(
          connection,
          "event_date BETWEEN ? AND CAST(? AS DATE) + INTERVAL '1 day'",
          60,
          s -> {
            s.setDate(1, today);
            s.setDate(2, today);
          });
      ResultSet row =
          statement.executeQuery(
              "SELECT event_date, event_timestamp FROM events WHERE tracking_id = '" + site + "' ORDER BY 2 LIMIT 1");
      isTrue(row.next());
      equal(today, row.getDate(1));
      equal(today, row.getObject(1));
      equal(today.toString(), row.getString(1));
      // Of a timestamp, text and an explicit calendar are right without the property too.
      Timestamp expected = Timestamp.valueOf(utc(0));
      equal(expected, row.getTimestamp(2, UTC));
      equal(expected.toString(), row.getString(2));
    }
  }

  private LocalDateTime utc(int minute) {
    return LocalDateTime.ofInstant(Instant.ofEpochMilli(minute(minute)), ZoneOffset.UTC);
  }

  private LocalDate utcDate(int minute) {
    return utc(minute).toLocalDate();
  }

  private void unfit() throws Exception {
    try (Connection connection = connect()) {
      refused("not yet supported", () -> count(connection, "event_timestamp < ?", s -> s.setString(1, "2026-11-01")));
      refused("not yet supported", () -> count(connection, "client_hash = ?", s -> s.setString(1, "1")));
      refused(
          "does not hold all its digits",
          () -> count(connection, "revenue < ?", s -> s.setBigDecimal(1, new BigDecimal("12345678901234.5678"))));
    }
  }

  private void clauses() throws Exception {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      refused("of visitors", () -> statement.executeQuery("SELECT count(*) FROM events TABLESAMPLE (10 PERCENT)"));
    }
  }

  private void large() throws Exception {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      ResultSet rows =
          statement.executeQuery(
              "SELECT value, concat('a text with the number ', value) AS text FROM generate_series(1, 300000)");
      long count = 0;
      long sum = 0;
      while (rows.next()) {
        count++;
        sum += rows.getLong(1);
        isTrue(rows.getString(2).endsWith(" " + rows.getLong(1)));
      }
      equal(300_000L, count);
      equal(45_000_150_000L, sum);
    }
  }

  /** While rows come, and while the first is waited for. */
  private void cancel() throws Exception {
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      ResultSet rows = statement.executeQuery("SELECT value FROM generate_series(1, 100000000000)");
      isTrue(rows.next());
      statement.cancel();
      isTrue(ends(rows), "rows still come 30 s after the cancel");
    }
    try (Connection connection = connect();
        Statement statement = connection.createStatement()) {
      Thread canceller =
          new Thread(
              () -> {
                try {
                  Thread.sleep(1_000);
                  statement.cancel();
                } catch (InterruptedException | SQLException error) {
                  throw new IllegalStateException(error);
                }
              });
      canceller.start();
      refused(
          "Cancelling",
          () -> statement.executeQuery("SELECT sum(value) FROM generate_series(1, 100000000000)"));
      canceller.join();
    }
    try (Connection connection = connect()) {
      equal(1L, number(connection, "SELECT 1"));
    }
  }

  private static boolean ends(ResultSet rows) {
    long began = System.nanoTime();
    try {
      while (rows.next()) {
        if (System.nanoTime() - began > 30_000_000_000L) {
          return false;
        }
      }
    } catch (SQLException | RuntimeException error) {
      // As good as an end.
    }
    return System.nanoTime() - began <= 30_000_000_000L;
  }

  private void updates() throws Exception {
    for (String sql : List.of("DELETE FROM events", "DROP TABLE events", "INSERT INTO events VALUES (1)")) {
      try (Connection connection = connect();
          Statement statement = connection.createStatement()) {
        refused("read-only", () -> statement.executeUpdate(sql));
        refused("read-only", () -> statement.execute(sql));
        refused("read-only", () -> connection.prepareStatement(sql).executeUpdate());
      }
    }
    try (Connection connection = connect()) {
      equal(60L, number(connection, "SELECT count(*) FROM events WHERE tracking_id = '" + site + "'"));
    }
  }

  private void refusedConnections() throws Exception {
    String plain = url + "?useEncryption=false&user=token&password=";
    refused("token is unknown", () -> connection(plain + "ffp_wrong"));
    refused("there is only footfall", () -> connection(plain + token + "&database=other"));
    refused("there is only public", () -> connection(plain + token + "&schema=other"));
    refused("there is only UTC", () -> connection(plain + token + "&timeZone=Asia/Kathmandu"));
    refused("", () -> connection(plain + token + "&catalog=other"));
    connection(plain + token + "&database=footfall&schema=public");
  }

  private void connection(String full) throws SQLException {
    try (Connection connection = DriverManager.getConnection(full)) {
      equal(1L, number(connection, "SELECT 1"));
    }
  }

  private long minute(int number) {
    return first + number * 60_000L;
  }

  private void count(Connection connection, String condition, long expected, Setter setter) throws SQLException {
    long found = count(connection, condition, setter);
    isTrue(found == expected, condition + " finds " + found + ", not " + expected);
  }

  private long count(Connection connection, String condition, Setter setter) throws SQLException {
    String sql = "SELECT count(*) FROM events WHERE tracking_id = '" + site + "' AND " + condition;
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      setter.set(statement);
      ResultSet rows = statement.executeQuery();
      isTrue(rows.next());
      return rows.getLong(1);
    }
  }

  private static long number(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      ResultSet rows = statement.executeQuery(sql);
      isTrue(rows.next());
      return rows.getLong(1);
    }
  }

  private static List<String> column(ResultSet rows, String name) throws SQLException {
    List<String> values = new ArrayList<>();
    while (rows.next()) {
      values.add(rows.getString(name));
    }
    rows.close();
    return values;
  }

  private static void refused(String says, Check check) {
    Throwable error = null;
    try {
      check.run();
    } catch (Throwable thrown) {
      error = thrown;
    }
    isTrue(error != null, "not refused, though it should say: " + says);
    StringBuilder texts = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      texts.append(cause).append('\n');
    }
    isTrue(texts.toString().contains(says), "not for the reason \"" + says + "\": " + texts);
  }

  private static void equal(Object expected, Object found) {
    isTrue(Objects.equals(expected, found), found + " instead of " + expected);
  }

  private static void isTrue(boolean condition) {
    isTrue(condition, "not so");
  }

  private static void isTrue(boolean condition, String text) {
    if (!condition) {
      throw new AssertionError(text);
    }
  }
}
