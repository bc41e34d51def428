"""Tables whose header names the columns: taken by name, wherever they are, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dusnet.errors import BadInput
from dusnet.io import read_cloud, read_labelled_points, read_scalars

ROWS = np.array([[1.5, -2.25, 30.0], [4.0, 50.5, -6.75], [-7.125, 8.0, 90.25], [10.5, -11.0, 12.0]])


def table(path: Path, head: str, columns: str, mark: str = ",") -> Path:
    """Rows of an index (i), coordinates (x, y, z) and other numbers (v), as `columns` says."""
    lines = [head]
    for number, row in enumerate(ROWS.tolist(), start=100):
        known = dict(zip("xyz", row, strict=True))
        lines.append(mark.join(str(known.get(column, number if column == "i" else 1)) for column in columns))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("head", "columns", "mark"),
    [
        ("ID, X-position, Y-position, Z-position, Value", "ixyzv", ","),
        ("POLY_ID,X_UTME,Y_UTMN,Z_TVDSS,Value", "ixyzv", ","),
        ("scalar, x coord, y coord, z coord, Value", "vxyzv", ","),
        ('"Temp","Points_0","Points_1","Points_2","Value"', "vxyzv", ","),
        ("Weight,Points:1,Points:0,Points:2,Normals:0,Normals:1,Normals:2", "vyxzvvv", ","),
        ("Coordinates:2,Coordinates:1,Coordinates:0", "zyx", ","),
        ("Point_1;Point_2;Point_3;q", "xyzv", ";"),
        ("No,X_mm,Y_mm,Z_mm", "ixyz", ","),
        ("# Id X_coord Y_coord Z_coord Value", "ixyzv", " "),
        ("# by hand, on Monday, in Ulm, twice, ok\n# Id X [mm] Y [mm] Z [mm] Value\n# 4 points", "ixyzv", " "),
        ("id X [mm] Y [mm] Z [mm]", "ixyz", " "),
        ('id "x coord" "y coord" "z coord"', "ixyz", " "),
        ("id\tX coord\tY coord\tZ coord", "ixyz", "\t"),
        ('"Position, X","Position, Y","Position, Z",q', "xyzv", ","),
        ("ID;Z coordinate (mm);Y coordinate (mm);X coordinate (mm)", "izyx", ";"),
        ("point,Northing,Easting,Height", "iyxz", ","),
        ("point,easting_m,northing_m,elevation_m", "ixyz", ","),
        ("Nr;Rechtswert;Hochwert;Höhe", "ixyz", ";"),
        ("i,E,N,H", "ixyz", ","),
        ("i,PosX,PosY,PosZ", "ixyz", ","),
        ("i ypos xpos zpos", "iyxz", " "),
        ("X,Y,height", "xyz", ","),
        ("normal_x,normal_y,normal_z,pos_x,pos_y,pos_z", "vvvxyz", ","),
        ("vx,vy,vz,Z,X,Y", "vvvzxy", ","),
        ("i,x,y,z,x_local,y_local,z_local", "ixyzvvv", ","),
        (",x,y,z", "ixyz", ","),
        ("Points_0,Points_1,Points_2,Points_Magnitude", "xyzv", ","),
    ],
)
def test_coordinates_are_found_by_their_names(tmp_path: Path, head: str, columns: str, mark: str) -> None:
    cloud = read_cloud(table(tmp_path / "a.csv", head, columns, mark))
    np.testing.assert_array_equal(cloud.points, ROWS)


@pytest.mark.parametrize(
    ("head", "columns", "mark", "says"),
    [
        ("a,b,c", "xyz", ",", "does not tell"),
        ("row,scan_7,scan_8,scan_9", "ixyz", ",", "does not tell"),
        ("id,lon,lat,height", "ixyz", ",", "does not tell"),
        ("id,radius,theta,phi", "ixyz", ",", "does not tell"),
        ("id,X,Y,quality", "ixyz", ",", "does not tell"),
        ("dx,dy,dz,q", "xyzv", ",", "does not tell"),
        ("# id px py pz", "ixyz", " ", "does not tell"),
        ("# id,one,two,three", "ixyz", ",", "does not tell"),
        ("# id lon lat height", "ixyz", " ", "does not tell"),
        ("x_a,y_a,z_a,x_world,y_world,z_world,x_local,y_local,z_local", "vvvxyzxyz", ",", "more than one set"),
        ("X_m,Y_m,Z_m,Easting,Northing,Height", "xyzxyz", ",", "more than one set"),
        ("id,X [mm],Y [mm],Z [um]", "ixyz", ",", "different units"),
        ("id,X_mm,Y_mm,Z_inch", "ixyz", ",", "different units"),
        ("x,y,z,x,y,z", "xyzxyz", ",", "more than one column called x, y, z"),
        ("x,y,z", "xyzv", ",", "3 names"),
        ("# x, y, z", "xyzv", ",", "3 names"),
    ],
)
def test_names_that_do_not_tell_are_refused(tmp_path: Path, head: str, columns: str, mark: str, says: str) -> None:
    path = table(tmp_path / "a.csv", head, columns, mark)
    with pytest.raises(BadInput, match=says) as caught:
        read_cloud(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "head", ["# exported by hand", "# 10 x 20 x 30 mm", "// scanned on Monday", "% x y z in mm", "# columns: x y z"]
)
def test_a_sentence_in_a_comment_is_no_header(tmp_path: Path, head: str) -> None:
    np.testing.assert_array_equal(read_cloud(table(tmp_path / "a.xyz", head, "xyz", " ")).points, ROWS)


def test_the_columns_that_were_taken_are_said_and_the_others_are_scalars(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "ID,X-position,Y-position,Z-position,Value", "ixyzv")
    cloud, scalars = read_scalars(path)
    assert cloud.notes == ("x, y and z are the columns X-position, Y-position, Z-position",)
    assert scalars["ID"].tolist() == [100, 101, 102, 103]
    assert sorted(scalars) == ["ID", "Value"]


def test_names_from_a_file_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "\x1b[31ma,\x07b," + "c" * 5000, "xyz")
    with pytest.raises(BadInput) as caught:
        read_cloud(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 400


def test_ground_truth_is_found_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("label,Z,Y,X,id\n1,3,2,1,7\n0,6,5,4,8\n")
    points, labels = read_labelled_points(path)
    assert points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert labels.tolist() == [True, False]
    path.write_text("x,y,z,defective\n1,2,3,0\n4,5,6,1\n")
    assert read_labelled_points(path)[1].tolist() == [False, True]
    path.write_text("x,y,z,one,two\n1,2,3,0,1\n4,5,6,1,0\n")
    with pytest.raises(BadInput, match="no column called label"):
        read_labelled_points(path)
